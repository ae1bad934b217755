/** Finding and ending machines: those of a state, and those an instance left that had a journal we do not have. */
import { toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { GONE_RECHECK_MS, ORPHAN_AGE_MS, TERMINATE_ALARM_MS } from "../base/limits.ts";
import type { ListedMachine, MachineRef } from "../fleet/backend.ts";
import type { StageContext } from "./context.ts";

type Lookup = Pick<StageContext, "fleet" | "clock" | "log">;

/** Until the backend has said twice that each is gone. No time limit, only an alarm that repeats. */
export async function endMachines(
  { fleet, clock, log }: Lookup,
  targets: readonly MachineRef[],
  signal: AbortSignal,
): Promise<void> {
  const startedMs = clock.monotonicMs();
  let alarmMs = TERMINATE_ALARM_MS;
  for (const target of targets) {
    for (let confirmations = 0; confirmations < 2; ) {
      if (signal.aborted) return;
      try {
        confirmations = (await fleet.terminate(target, signal)) === "gone" ? confirmations + 1 : 0;
      } catch (error) {
        if (signal.aborted) return;
        confirmations = 0;
        log.warn("terminate-failed", { backend: target.backend, machine: target.name, error });
      }
      if (clock.monotonicMs() - startedMs > alarmMs) {
        log.error("machine-will-not-end", { backend: target.backend, machine: target.name });
        alarmMs *= 2;
      }
      if (confirmations < 2) await clock.sleep(GONE_RECHECK_MS, signal);
    }
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
