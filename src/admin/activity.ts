/**
 * What the ledger, the fleet and the standing do, as events, as refusals by code and as time spent per stage. Listens
 * for as long as the provider lives; a grant is known here by its key only while it is open, and never shown.
 */
import type { Clock } from "../base/clock.ts";
import { STAGE_CLOCKS_MAX } from "../base/limits.ts";
import type { RefusalCode } from "../coalition/grant.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { GrantChange, Ledger } from "../ledger/ledger.ts";
import { type GrantState, type GrantStateName, isSettled } from "../ledger/state.ts";
import type { StandingKeeper } from "../stages/standing.ts";
import type { WhyFacts } from "./facts.ts";
import type { Stage } from "./meters.ts";
import type { Observer } from "./observer.ts";
import type { Told } from "./ring.ts";

const STAGE_OF: Record<GrantStateName, Stage | undefined> = {
  received: "open",
  resolved: "route",
  provisioning: "create",
  running: "deliver",
  delivered: "watch",
  terminating: "terminate",
  logged: "log",
  closed: undefined,
  refused: "refuse",
  failed: "refuse",
};

export interface Activity {
  refusals(): WhyFacts["refusals"];
}

export interface ActivityParts {
  readonly ledger: Ledger;
  readonly fleet: Fleet;
  readonly standing: StandingKeeper;
}

export function watchActivity(parts: ActivityParts, observer: Observer): Activity {
  const { ledger, fleet, standing } = parts;
  const { ring, clock } = observer;
  const refusals = new Map<RefusalCode, { count: number; lastMs: number }>();
  const time = stageTimer(observer, clock);
  ledger.onChange((change) => {
    time(change);
    const { before, after } = change;
    if (before?.state === after.state) return;
    if (after.state === "refused" || after.state === "failed") {
      const count = (refusals.get(after.code)?.count ?? 0) + 1;
      refusals.set(after.code, { count, lastMs: clock.nowMs() });
    }
    const told = eventOf(change);
    if (told !== undefined) ring.add(told);
  });
  const failing = new Map<string, boolean>();
  fleet.onChange(() => {
    for (const { name, ok, error } of fleet.health()) {
      const was = failing.get(name) ?? false;
      if (!ok && !was) ring.add({ kind: "backend-failing", backend: name, code: error });
      if (ok && was) ring.add({ kind: "backend-ok", backend: name });
      failing.set(name, !ok);
    }
  });
  standing.onChange(() => ring.add({ kind: "standing", code: standing.now() }));
  return { refusals: () => new Map(refusals) };
}

function eventOf({ before, after, event }: GrantChange): Told | undefined {
  switch (after.state) {
    case "received":
      return { kind: after.recovering ? "grant-recovered" : "grant-admitted" };
    case "refused":
      return { kind: "grant-refused", code: after.code };
    case "failed":
      return { kind: "grant-failed", backend: backendOf(before), code: after.code };
    case "running":
      return { kind: "machine-up", backend: after.machine.backend };
    case "delivered":
      return event === "posted"
        ? { kind: "receipt-posted", backend: after.machine.backend }
        : undefined;
    case "logged":
      return {
        kind: "grant-ended",
        backend: backendOf(before),
        code: after.chain.outbox.at(-1)?.status,
      };
    default:
      return undefined;
  }
}

function backendOf(state: GrantState | undefined): string | undefined {
  return state !== undefined && "placements" in state
    ? state.placements[state.try]?.backend
    : undefined;
}

/** Times the stages; a grant adopted from the journal is timed from its first change on. */
function stageTimer({ meters }: Observer, clock: Clock): (change: GrantChange) => void {
  const open = new Map<string, { readonly stage: Stage; readonly fromMs: number }>();
  return ({ before, after }) => {
    const { key } = after;
    const over = isSettled(after);
    if (before?.state === after.state && !over) return;
    const last = open.get(key);
    if (last !== undefined) {
      meters.stages.observe({ stage: last.stage }, (clock.monotonicMs() - last.fromMs) / 1000);
      open.delete(key);
    }
    const stage = STAGE_OF[after.state];
    if (over || stage === undefined || open.size >= STAGE_CLOCKS_MAX) return;
    open.set(key, { stage, fromMs: clock.monotonicMs() });
  };
}
