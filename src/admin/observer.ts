/**
 * Looks over the shoulder of a provider's parts: each is wrapped in one of the same shape that counts and times what
 * passes through and changes nothing. Made before the provider starts, so that the first call is counted too.
 */
import type { Clock } from "../base/clock.ts";
import { codeOf, type ErrorCode } from "../base/errors.ts";
import type { Backend } from "../fleet/backend.ts";
import type { ConfiguredBackend, Fleet } from "../fleet/fleet.ts";
import type { LeftOut } from "../fleet/route.ts";
import type { Journal } from "../ledger/journal.ts";
import { LEFT_OUT_CODES, type LeftOutCode, type WhyFacts } from "./facts.ts";
import { type BackendOp, createMeters, type Meters } from "./meters.ts";
import { createEventRing, type EventRing } from "./ring.ts";

export interface ObserverOptions {
  /** Names of all configured backends, in order. */
  readonly backends: readonly string[];
  readonly currency: string;
  readonly clock: Clock;
}

export interface Observer extends ObserverOptions {
  readonly startedMs: number;
  readonly meters: Meters;
  readonly ring: EventRing;
  journal(journal: Journal): Journal;
  configured(backends: readonly ConfiguredBackend[]): readonly ConfiguredBackend[];
  fleet(fleet: Fleet): Fleet;
  seen(): Pick<WhyFacts, "leftOut" | "lastRoute" | "createFailures">;
}

export function createObserver(options: ObserverOptions): Observer {
  const { clock } = options;
  const meters = createMeters(options.backends, options.currency);
  const ring = createEventRing(clock.nowMs);
  const leftOut = createTally<LeftOutCode>();
  const createFailures = createTally<ErrorCode>();
  let lastRoute: WhyFacts["lastRoute"];
  return {
    ...options,
    startedMs: clock.nowMs(),
    meters,
    ring,
    journal: (journal) => observedJournal(journal, meters, ring, clock),
    configured: (backends) =>
      backends.map((one) => ({
        ...one,
        backend: observedBackend(one.backend, meters, clock, (code) => {
          createFailures.add(one.backend.name, code);
          ring.add({ kind: "create-failed", backend: one.backend.name, code });
        }),
      })),
    fleet: (fleet) => ({
      ...fleet,
      route(request) {
        const route = fleet.route(request);
        const once = createTally<LeftOutCode>();
        for (const one of route.leftOut) {
          const code = leftOutCode(one);
          once.add(one.backend, code);
          leftOut.add(one.backend, code);
          meters.leftOut.add({ backend: one.backend, code });
        }
        const placements = route.placements.length;
        lastRoute = { atMs: clock.nowMs(), placements, leftOut: once.counts() };
        return route;
      },
    }),
    seen: () => ({ leftOut: leftOut.counts(), lastRoute, createFailures: createFailures.counts() }),
  };
}

function observedJournal(journal: Journal, meters: Meters, ring: EventRing, clock: Clock): Journal {
  let failing = false;
  return {
    ...journal,
    commit(changes, totals, atMs) {
      const fromMs = clock.monotonicMs();
      try {
        journal.commit(changes, totals, atMs);
      } catch (error) {
        meters.journalFailures.add({});
        if (!failing) ring.add({ kind: "journal-failing", code: codeOf(error) });
        failing = true;
        throw error;
      }
      meters.journalWrites.observe({}, (clock.monotonicMs() - fromMs) / 1000);
      if (failing) ring.add({ kind: "journal-ok" });
      failing = false;
    },
  };
}

function observedBackend(
  backend: Backend,
  meters: Meters,
  clock: Clock,
  onCreateFailure: (code: ErrorCode) => void,
): Backend {
  const { name } = backend;
  const timed = async <T>(
    op: BackendOp,
    signal: AbortSignal,
    call: () => Promise<T>,
  ): Promise<T> => {
    const fromMs = clock.monotonicMs();
    let result: ErrorCode | "ok" | "aborted" = "ok";
    try {
      return await call();
    } catch (error) {
      result = signal.aborted ? "aborted" : codeOf(error);
      if (op === "provision" && result !== "aborted") onCreateFailure(result);
      throw error;
    } finally {
      meters.calls.add({ backend: name, op, result });
      meters.callSeconds.observe({ backend: name, op }, (clock.monotonicMs() - fromMs) / 1000);
    }
  };
  return {
    name,
    capabilities: (signal) => timed("capabilities", signal, () => backend.capabilities(signal)),
    canSatisfy: (offer, need) => backend.canSatisfy(offer, need),
    provision: (order, signal) =>
      timed("provision", signal, () => backend.provision(order, signal)),
    watchUntilExit: (machine, onSample, signal) =>
      backend.watchUntilExit(machine, onSample, signal),
    terminate: (machine, signal) =>
      timed("terminate", signal, () => backend.terminate(machine, signal)),
    list: (signal) => timed("list", signal, () => backend.list(signal)),
  };
}

/** The word before the colon; what follows may tell about one workload and is dropped. */
function leftOutCode({ reason }: LeftOut): LeftOutCode {
  const word = reason.split(":", 1)[0];
  return LEFT_OUT_CODES.find((code) => code === word) ?? "other";
}

/** Counts by backend and code, both from closed lists, so it cannot grow without bound. */
function createTally<C extends string>() {
  const counts = new Map<string, { readonly backend: string; readonly code: C; count: number }>();
  return {
    add(backend: string, code: C): void {
      const key = `${backend}:${code}`;
      const found = counts.get(key);
      if (found === undefined) counts.set(key, { backend, code, count: 1 });
      else found.count += 1;
    },
    counts: (): readonly { readonly backend: string; readonly code: C; readonly count: number }[] =>
      [...counts.values()].map((one) => ({ ...one })),
  };
}
