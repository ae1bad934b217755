/**
 * Stopping for good: no new grants, wait for the live ones up to a bound, then the signed marker. At the bound the
 * operator decides: end them, or leave them running with no marker, to be found again by the next start.
 */
import type { Clock } from "../base/clock.ts";
import { timeoutSignal } from "../base/clock.ts";
import { DRAIN_END_MS, DRAIN_LOOK_MS, MARKER_MS } from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { DrainOrder, StandingKeeper } from "./standing.ts";

/** The order may grow while the drain runs. */
export interface DrainOptions extends DrainOrder {
  readonly waitMs: number;
  readonly onWaiting: (live: number) => void;
}

export interface DrainParts {
  readonly ledger: Ledger;
  readonly standing: StandingKeeper;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How a drain ended; `unmarked`: nothing is left running, but the coalition could not be told. */
export type DrainResult = "drained" | "live" | "unmarked";

/** `drained` after the marker is out; `live` when grants were left running. The signal takes the drain back. */
export async function drain(
  { ledger, standing, clock, log }: DrainParts,
  options: DrainOptions,
  signal: AbortSignal,
): Promise<DrainResult | "cancelled"> {
  standing.drain(options);
  if (!(await untilEmpty(options.waitMs))) {
    if (signal.aborted) return "cancelled";
    if (!options.terminate) return "live";
    if (!(await untilEmpty(DRAIN_END_MS, endLive))) return signal.aborted ? "cancelled" : "live";
  }
  try {
    await standing.publishMarker(options.reason, timeoutSignal(clock, MARKER_MS, signal));
  } catch (error) {
    if (signal.aborted) return "cancelled";
    log.error("marker-not-published", { error });
    return "unmarked";
  }
  standing.finishDrain();
  return "drained";

  /** Asked again in every look: a grant that is just being recovered hears it only once its machine is found. */
  function endLive(): void {
    for (const state of ledger.live()) {
      ledger.offer(state.key, { type: "end", detail: "the operator stopped the provider" });
    }
  }

  async function untilEmpty(waitMs: number, eachLook = (): void => {}): Promise<boolean> {
    const untilMs = clock.monotonicMs() + waitMs;
    for (;;) {
      const live = [...ledger.live()].length;
      if (live === 0) return true;
      if (signal.aborted || clock.monotonicMs() >= untilMs) return false;
      options.onWaiting(live);
      eachLook();
      await clock.sleep(DRAIN_LOOK_MS, signal);
    }
  }
}
