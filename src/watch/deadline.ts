/**
 * When a grant is over: at the earliest of its tick, its wall-clock bound, and a monotonic estimate of the time it had
 * when this process first saw it, so that neither stalled ticks nor a clock set back by the host keep a machine alive.
 */
import type { Clock } from "../base/clock.ts";
import type { GrantState } from "../ledger/state.ts";

export interface Deadlines {
  /** The grants that are over now. */
  due(live: Iterable<GrantState>, nowTick: number): GrantState[];
}

const ENDS_BY_DEADLINE = new Set<GrantState["state"]>([
  "received",
  "resolved",
  "provisioning",
  "running",
  "delivered",
]);

export function createDeadlines(clock: Clock): Deadlines {
  /** Grant key → monotonic time at which it is over. */
  const estimates = new Map<string, number>();
  return {
    due(live, nowTick) {
      const nowMs = clock.nowMs();
      const monotonicMs = clock.monotonicMs();
      const over: GrantState[] = [];
      const seen = new Set<string>();
      for (const state of live) {
        if (!ENDS_BY_DEADLINE.has(state.state)) continue;
        seen.add(state.key);
        const estimate = estimates.get(state.key) ?? monotonicMs + (state.deadlineMs - nowMs);
        estimates.set(state.key, estimate);
        if (
          nowTick > state.grant.validToTick ||
          nowMs >= state.deadlineMs ||
          monotonicMs >= estimate
        )
          over.push(state);
      }
      for (const key of estimates.keys()) if (!seen.has(key)) estimates.delete(key);
      return over;
    },
  };
}
