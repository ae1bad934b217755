/** A ledger whose time, journal and effects belong to the test. */

import { BridgeError } from "../../src/base/errors.ts";
import { createLogger, type Logger } from "../../src/base/log.ts";
import type { Effect, EffectKind } from "../../src/ledger/effects.ts";
import type { GrantEvent } from "../../src/ledger/events.ts";
import { type Journal, openJournal } from "../../src/ledger/journal.ts";
import { type Ledger, startLedger } from "../../src/ledger/ledger.ts";
import type { GrantState } from "../../src/ledger/state.ts";
import type { TransitionContext } from "../../src/ledger/transition.ts";
import type { EffectHandler } from "../../src/ledger/workers.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import {
  granted,
  id,
  NOON_MS,
  opened,
  routed,
  sampleContext,
  sampleGrant,
  samplePlacement,
  up,
} from "./samples.ts";

export type Act = (
  state: GrantState,
  emit: (event: GrantEvent) => void,
  signal: AbortSignal,
  effect: Effect,
) => Promise<GrantEvent | undefined>;

/** What the effects do; one that is not named lasts until it is aborted. */
export type Script = { [K in EffectKind]?: Act };

export const lastsUntilAborted: Act = (_state, _emit, signal) =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });

/** Heeds nothing: what a hung call to a backend looks like. */
export const neverReturns: Act = () => new Promise(() => {});

/** The life of a grant whose machine is ended by its tenant as soon as its receipt is out. */
export const SMOOTH: Required<
  Pick<Script, "open" | "route" | "create" | "deliver" | "terminate" | "log" | "refuse">
> = {
  open: async () => opened,
  route: async () => routed(samplePlacement(0), samplePlacement(1)),
  create: async (state) => up("try" in state ? state.try : 0),
  deliver: async () => ({ type: "posted" }),
  terminate: async () => ({ type: "gone" }),
  log: async (state) => ({ type: "log-published", seq: state.chain.outbox[0]?.seq ?? 0 }),
  refuse: async () => ({ type: "announced" }),
};

export interface Rig {
  readonly ledger: Ledger;
  readonly journal: Journal;
  readonly clock: FakeClock;
  /** What happened, in order: `commit KEY STATE`, `start ID`, `end ID`. */
  readonly trace: string[];
  readonly logged: string[];
  /** The journal throws on every write while this is set. */
  broken: boolean;
  context: Partial<TransitionContext>;
}

export interface RigOptions {
  readonly script?: Script;
  readonly journal?: Journal;
  readonly clock?: FakeClock;
  readonly context?: Partial<TransitionContext>;
}

export function startRig({
  script = {},
  journal,
  clock = fakeClock(NOON_MS),
  context = {},
}: RigOptions = {}): Rig {
  const trace: string[] = [];
  const logged: string[] = [];
  const log: Logger = createLogger({
    level: "info",
    format: "json",
    write: (line) => void logged.push((JSON.parse(line) as { event: string }).event),
    nowMs: clock.nowMs,
  });
  const rig = { trace, logged, clock, broken: false, context };
  const kept = journal ?? openJournal(":memory:", "provider-a");
  const watched: Journal = {
    ...kept,
    commit(changes, totals, atMs) {
      if (rig.broken) throw new BridgeError("journal-unwritable", "no space left");
      kept.commit(changes, totals, atMs);
      for (const { after } of changes) trace.push(`commit ${after.key} ${after.state}`);
    },
  };
  const handle: EffectHandler = async (effect, state, emit, signal) => {
    trace.push(`start ${effect.id}`);
    try {
      return await (script[effect.kind] ?? lastsUntilAborted)(state, emit, signal, effect);
    } finally {
      trace.push(`end ${effect.id}`);
    }
  };
  const ledger = startLedger({
    journal: watched,
    clock,
    log,
    handle,
    maySpend: Promise.resolve(),
    context: () => ({ ...sampleContext({ nowMs: clock.nowMs() }), ...rig.context }),
  });
  return Object.assign(rig, { ledger, journal: kept });
}

/** The n-th grant: another request each, with life enough for any test. */
export function grantOf(n: number): Extract<GrantEvent, { type: "granted" }> {
  const requestId = id(0);
  requestId.set([n >> 8, n & 0xff]);
  return granted(sampleGrant({ requestId, validToTick: 1e6, notAfterMs: NOON_MS + 3_600_000 }));
}

export function keyOf(n: number): string {
  const { grant } = grantOf(n);
  return `${Buffer.from(grant.requestId).toString("hex")}01`;
}

/** Offers the n-th grant and returns its key. */
export function offer(rig: Rig, n = 1): string {
  if (!rig.ledger.offer(keyOf(n), grantOf(n))) throw new Error("the ledger took no grant");
  return keyOf(n);
}
