/**
 * Workers carry out what the states ask for. Each running worker holds one reserved place in the event queue, so its
 * report never waits for the writer and the writer never waits for it. What no longer follows from the state is
 * aborted; what failed without a definite answer is tried again, later and later, for as long as the state asks.
 */
import type { Clock } from "../base/clock.ts";
import { jitter } from "../base/clock.ts";
import {
  EFFECT_RETRY_MS,
  EFFECT_RETRY_MS_MAX,
  GRANTS_MAX,
  QUICK_WORKERS_MAX,
  SLOW_WORKERS_MAX,
  WORKER_STOP_MS,
} from "../base/limits.ts";
import { correlate, type Logger } from "../base/log.ts";
import type { BoundedQueue } from "../base/queue.ts";
import { type Effect, type EffectKind, effectsOf } from "./effects.ts";
import type { GrantEvent } from "./events.ts";
import type { GrantState } from "./state.ts";

/**
 * Carries one effect out. Resolves with the event that reports it, or with undefined when it was aborted; throws when
 * the outcome is not definite and it should be tried again. `emit` reports progress and may be dropped.
 */
export type EffectHandler = (
  effect: Effect,
  state: GrantState,
  emit: (event: GrantEvent) => void,
  signal: AbortSignal,
) => Promise<GrantEvent | undefined>;

export interface Workers {
  /** Starts what the state asks for and aborts what it no longer does. */
  want(state: GrantState): void;
  stop(): Promise<void>;
}

export interface WorkersOptions {
  readonly queue: BoundedQueue<{ readonly key: string; readonly event: GrantEvent }>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly handle: EffectHandler;
  readonly stateOf: (key: string) => GrantState | undefined;
  /** Resolves when grants may be spent on. */
  readonly maySpend: Promise<void>;
}

/** Slow effects must not keep quick ones waiting, and watching lasts as long as the machine. */
const LANES: Record<EffectKind, "quick" | "slow" | "long"> = {
  open: "quick",
  route: "quick",
  inspect: "slow",
  create: "slow",
  deliver: "quick",
  repost: "long",
  watch: "long",
  terminate: "slow",
  log: "quick",
  refuse: "quick",
};
/**
 * Effects that go on towards spending. They wait until this instance knows what the coalition holds: another one may
 * have answered for a grant of our journal meanwhile.
 */
const SPENDING: ReadonlySet<EffectKind> = new Set(["open", "route", "create"]);
const LANE_MAX = {
  quick: QUICK_WORKERS_MAX,
  slow: SLOW_WORKERS_MAX,
  long: 2 * GRANTS_MAX,
} as const;

interface Job {
  readonly effect: Effect;
  readonly controller: AbortController;
  failures: number;
}

export function startWorkers(options: WorkersOptions): Workers {
  const { queue, clock, log } = options;
  /** By grant: the effects its state asks for. */
  const jobs = new Map<string, Map<string, Job>>();
  const waiting = { quick: new Set<Job>(), slow: new Set<Job>(), long: new Set<Job>() };
  const busy = { quick: 0, slow: 0, long: 0 };
  const running = new Set<Promise<void>>();
  /** Grants for which a backend is being called. */
  const calling = new Set<string>();
  let stopped = false;
  let maySpend = false;
  void options.maySpend.then(() => {
    maySpend = true;
    if (!stopped) pump();
  });

  return {
    want(state) {
      if (stopped) return;
      const wanted = new Map(effectsOf(state).map((effect) => [effect.id, effect]));
      const known = jobs.get(state.key) ?? new Map<string, Job>();
      for (const [id, job] of known) {
        if (wanted.has(id)) continue;
        job.controller.abort();
        waiting[LANES[job.effect.kind]].delete(job);
        known.delete(id);
      }
      for (const [id, effect] of wanted) {
        if (known.has(id)) continue;
        const job: Job = { effect, controller: new AbortController(), failures: 0 };
        known.set(id, job);
        waiting[LANES[effect.kind]].add(job);
      }
      if (known.size === 0) jobs.delete(state.key);
      else jobs.set(state.key, known);
      pump();
    },
    async stop() {
      stopped = true;
      for (const grant of jobs.values()) for (const job of grant.values()) job.controller.abort();
      await Promise.race([Promise.allSettled(running), clock.sleep(WORKER_STOP_MS)]);
    },
  };

  function pump(): void {
    for (const lane of ["quick", "slow", "long"] as const) {
      for (const job of waiting[lane]) {
        if (busy[lane] >= LANE_MAX[lane]) break;
        const { key, kind } = job.effect;
        if (!maySpend && SPENDING.has(kind)) continue;
        // One call to a backend at a time for one grant: an aborted create may still make its machine, so its end is
        // waited for before anybody is asked whether the machine is gone.
        if (lane === "slow" && calling.has(key)) continue;
        waiting[lane].delete(job);
        busy[lane] += 1;
        if (lane === "slow") calling.add(key);
        const run = work(job).finally(() => {
          busy[lane] -= 1;
          if (lane === "slow") calling.delete(key);
          running.delete(run);
          if (!stopped) pump();
        });
        running.add(run);
      }
    }
  }

  async function work(job: Job): Promise<void> {
    const { effect, controller } = job;
    const { signal } = controller;
    const place = queue.reserve();
    if (place === undefined) return retryLater(job); // cannot happen while the queue is sized for all lanes
    let event: GrantEvent | undefined;
    try {
      const state = options.stateOf(effect.key);
      if (state !== undefined && !signal.aborted) {
        const emit = (progress: GrantEvent): void =>
          void queue.offer({ key: effect.key, event: progress });
        event = await options.handle(effect, state, emit, signal);
      }
    } catch (error) {
      if (!signal.aborted) {
        log.warn("effect-failed", {
          effect: effect.kind,
          grant: correlate(effect.key),
          error,
        });
        job.failures += 1;
      }
    }
    if (event !== undefined) {
      place.fill({ key: effect.key, event });
      return;
    }
    place.release();
    if (!signal.aborted) retryLater(job);
  }

  function retryLater(job: Job): void {
    const waitMs = Math.min(EFFECT_RETRY_MS * 2 ** Math.min(job.failures, 16), EFFECT_RETRY_MS_MAX);
    void clock.sleep(jitter(waitMs), job.controller.signal).then(() => {
      if (stopped || job.controller.signal.aborted) return;
      waiting[LANES[job.effect.kind]].add(job);
      pump();
    });
  }
}
