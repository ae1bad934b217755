/**
 * Every process of a machine, also when the machine process died and left the tenant's behind: itself, those it had
 * recorded, those that started with its name in their environment, what shares a session with one of these, and all
 * their descendants. A process that cleared its environment, started a session of its own and lost its parent, all
 * after the last record, is not found: this backend isolates nothing.
 */
import {
  allProcesses,
  bootId,
  descendants,
  hasEnded,
  type Process,
  type ProcessIdentity,
  startEnvironment,
} from "./proc.ts";
import type { UsageRecord } from "./schemas.ts";
import { MACHINE_VARIABLE } from "./tenant.ts";

export interface MachineTraces {
  readonly folder: string;
  readonly process: ProcessIdentity | undefined;
  readonly usage: UsageRecord | undefined;
}

export function leftovers(machine: MachineTraces): Process[] {
  if (machine.process?.bootId !== bootId()) return []; // it ran before this boot, or never
  const living = allProcesses().filter((process) => !hasEnded(process));
  const recorded = new Map(machine.usage?.processes ?? []);
  const variable = `${MACHINE_VARIABLE}=${machine.folder}`;
  const tenant = living.filter(
    ({ pid, startTicks }) =>
      recorded.get(pid) === startTicks || startEnvironment(pid).includes(variable),
  );
  const sessions = new Set(tenant.map((process) => process.session));
  const itself = (process: Process): boolean =>
    process.pid === machine.process?.pid && process.startTicks === machine.process.startTicks;
  const found = new Map<number, Process>();
  for (const process of living) {
    if (itself(process) || sessions.has(process.session)) found.set(process.pid, process);
  }
  for (const process of descendants(living, found.keys())) found.set(process.pid, process);
  return [...found.values()];
}
