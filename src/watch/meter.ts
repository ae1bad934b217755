/**
 * Usage over a machine's life. Samples are cumulative since the machine's start; a counter that goes back (a restarted
 * sampler) never takes usage back, and what nobody measured stays unknown instead of becoming zero.
 */
import type { UsageRecord } from "../ledger/state.ts";

export function laterUsage(before: UsageRecord, sample: UsageRecord): UsageRecord {
  if (sample.basis === "unknown" || sample.basis === "none" || !isSound(sample)) return before;
  if (before.basis === "unknown" || before.basis === "none") return whole(sample);
  return whole({
    cpuCoreMs: Math.max(before.cpuCoreMs, sample.cpuCoreMs),
    ramMibSeconds: Math.max(before.ramMibSeconds, sample.ramMibSeconds),
    netBytes:
      sample.netBytes === null ? before.netBytes : Math.max(before.netBytes ?? 0, sample.netBytes),
    basis: sample.basis,
  });
}

/** Allocated resources times running time: what a cloud bills, and all one can say where nothing is measured. */
export function allocatedUsage(
  shape: { readonly cpuMillicores: number; readonly ramMib: number },
  fromMs: number,
  toMs: number,
): UsageRecord {
  const seconds = Math.max(0, toMs - fromMs) / 1000;
  return whole({
    cpuCoreMs: shape.cpuMillicores * seconds,
    ramMibSeconds: shape.ramMib * seconds,
    netBytes: null,
    basis: "allocated",
  });
}

/** A sampler that divides by zero has measured nothing. */
function isSound({ cpuCoreMs, ramMibSeconds, netBytes }: UsageRecord): boolean {
  return [cpuCoreMs, ramMibSeconds, netBytes ?? 0].every(
    (amount) => amount >= 0 && amount <= Number.MAX_SAFE_INTEGER,
  );
}

/** Records carry integers; parts of a unit are rounded down. */
function whole(usage: UsageRecord): UsageRecord {
  return {
    cpuCoreMs: Math.floor(usage.cpuCoreMs),
    ramMibSeconds: Math.floor(usage.ramMibSeconds),
    netBytes: usage.netBytes === null ? null : Math.floor(usage.netBytes),
    basis: usage.basis,
  };
}
