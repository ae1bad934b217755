/** Finding and ending machines: those of a state, and those an instance left that had a journal we do not have. */
import { toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import {
  GONE_RECHECK_MS,
  GONE_RECHECK_MS_MAX,
  ORPHAN_AGE_MS,
  TERMINATE_ALARM_MS,
} from "../base/limits.ts";
import { correlate } from "../base/log.ts";
import type { ListedMachine, MachineRef } from "../fleet/backend.ts";
import type { StageContext } from "./context.ts";

type Lookup = Pick<StageContext, "fleet" | "clock" | "log">;

/** Until the backends have said twice of each that it is gone. No time limit, only an alarm that repeats. */
export async function endMachines(
  lookup: Lookup,
  targets: readonly MachineRef[],
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(targets.map((target) => endMachine(lookup, target, signal)));
}

async function endMachine(
  { fleet, clock, log }: Lookup,
  target: MachineRef,
  signal: AbortSignal,
): Promise<void> {
  const startedMs = clock.monotonicMs();
  const who = { backend: target.backend, machine: correlate(target.name) };
  let alarmMs = TERMINATE_ALARM_MS;
  let waitMs = GONE_RECHECK_MS;
  for (let confirmations = 0; confirmations < 2 && !signal.aborted; ) {
    try {
      confirmations = (await fleet.terminate(target, signal)) === "gone" ? confirmations + 1 : 0;
    } catch (error) {
      if (signal.aborted) return;
      confirmations = 0;
      log.warn("terminate-failed", { ...who, error });
    }
    if (clock.monotonicMs() - startedMs > alarmMs) {
      log.error("machine-will-not-end", who);
      alarmMs *= 2;
    }
    if (confirmations === 2) return;
    // Its second word follows soon; one that is slow to end is asked less and less often.
    if (confirmations === 0) waitMs = Math.min(2 * waitMs, GONE_RECHECK_MS_MAX);
    await clock.sleep(confirmations > 0 ? GONE_RECHECK_MS : waitMs, signal);
  }
}

/**
 * Every machine of a grant, as the backends list them. That there is none is believed only of two listings far enough
 * apart: the last call of an instance that died a moment ago may not show yet. Throws `unknown-outcome` while a
 * backend cannot be read: unknown is not absent.
 */
export async function findRemains(
  { fleet, clock }: Lookup,
  grantId: Uint8Array,
  signal: AbortSignal,
): Promise<ListedMachine[]> {
  const look = async (): Promise<ListedMachine[]> => {
    const listing = await fleet.list(signal);
    if (!listing.complete) {
      throw new BridgeError("unknown-outcome", "a backend could not be listed", { retry: "later" });
    }
    const grant = toHex(grantId);
    return listing.machines.filter((machine) => machine.tags.grantId === grant);
  };
  const found = await look();
  if (found.length > 0) return found;
  await clock.sleep(ORPHAN_AGE_MS, signal);
  return signal.aborted ? [] : await look();
}
