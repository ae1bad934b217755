/** Periodic work of the provider, and who claims a machine that a sweep finds. */

import { toHex } from "../base/bytes.ts";
import { type Clock, jitter } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { ListedMachine } from "../fleet/backend.ts";
import type { ReconcilerOptions } from "../fleet/reconcile.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { StageContext } from "./context.ts";

/**
 * A live grant claims its machines of every try: an older try's machine is ended by the grant's own terminate stage.
 * While the coalition may still bring the grant back to us, nothing is settled.
 */
export function claimOf(context: StageContext, ledger: Ledger): ReconcilerOptions["claim"] {
  const self = toHex(context.providerId);
  return (machine: ListedMachine) => {
    if (machine.tags.providerId !== self) return "claimed"; // another provider's, in a shared account
    for (const state of ledger.live()) {
      if (toHex(state.grantId) === machine.tags.grantId) return "claimed";
    }
    return context.replica.transport.peers().length === 0 ? "claimed" : "unknown";
  };
}

/** Runs `act` at once and then about every `intervalMs`; a failure is logged and the next round comes anyway. */
export async function runEvery(
  intervalMs: number,
  clock: Clock,
  signal: AbortSignal,
  log: Logger,
  act: () => Promise<unknown>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await act();
    } catch (error) {
      if (!signal.aborted) log.warn("periodic-work-failed", { error });
    }
    await clock.sleep(jitter(intervalMs), signal);
  }
}
