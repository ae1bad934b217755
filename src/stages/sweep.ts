/** Periodic work of the provider, and who claims a machine that a sweep finds. */

import { toHex } from "../base/bytes.ts";
import { type Clock, jitter } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { ListedMachine } from "../fleet/backend.ts";
import type { ReconcilerOptions } from "../fleet/reconcile.ts";
import { dayOf } from "../ledger/books.ts";
import type { Journal } from "../ledger/journal.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { GrantState } from "../ledger/state.ts";
import type { StageContext } from "./context.ts";

/**
 * Whose machine it is. While the coalition may still bring a grant back to us nothing is an orphan; once a grant has a
 * machine, another one of it (a create call that arrived late) is.
 */
export function claimOf(context: StageContext, ledger: Ledger): ReconcilerOptions["claim"] {
  const self = toHex(context.providerId);
  return (machine: ListedMachine) => {
    if (machine.tags.providerId !== self) return "claimed"; // another provider's, in a shared account
    for (const state of ledger.live()) {
      if (toHex(state.grantId) === machine.tags.grantId && wants(state, machine)) return "claimed";
    }
    return context.replica.transport.peers().length === 0 ? "claimed" : "unknown";
  };
}

function wants(state: GrantState, { name, tags }: ListedMachine): boolean {
  switch (state.state) {
    case "received":
    case "resolved":
    case "terminating":
      return true; // its stages look for every machine of the grant, and end what they find
    case "provisioning":
      return tags.try === state.try;
    case "running":
    case "delivered":
      return name === state.machine.name;
    default:
      return false; // its machine is proven gone
  }
}

/** Settled grants are kept while somebody may still hold their records, and while their cost counts against a cap. */
export function pruneJournal({ records, coalition, clock }: StageContext, journal: Journal): void {
  const beforeTick = records.tick().seq - coalition.file.compute.keepTicks;
  if (beforeTick > 0) journal.prune(beforeTick, dayOf(clock.nowMs()) - 1);
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
