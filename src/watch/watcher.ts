/** Watches one machine until it ends: the backend's samples become events, its exit the final one. */
import type { Backend, Machine } from "../fleet/backend.ts";
import type { GrantEvent } from "../ledger/events.ts";
import type { Running, UsageRecord } from "../ledger/state.ts";
import { allocatedUsage, laterUsage } from "./meter.ts";

export async function watchMachine(
  backend: Backend,
  state: Running,
  nowMs: () => number,
  emit: (event: GrantEvent) => void,
  signal: AbortSignal,
): Promise<GrantEvent | undefined> {
  const machine: Machine = state.machine;
  let usage = state.usage;
  const take = (sample: UsageRecord): UsageRecord => {
    usage = laterUsage(usage, sample);
    return usage;
  };
  const exit = await backend.watchUntilExit(
    machine,
    (sample) => emit({ type: "sampled", usage: take(sample) }),
    signal,
  );
  if (signal.aborted) return undefined;
  const final = take(exit.usage);
  const shape = state.placements[state.try]?.shape;
  const known =
    final.basis === "unknown" && exit.cause !== "lost" && shape !== undefined && state.upMs > 0
      ? allocatedUsage(shape, state.upMs, nowMs())
      : final;
  return { type: "exited", cause: exit.cause, usage: known };
}
