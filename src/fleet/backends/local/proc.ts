/** Processes as the kernel shows them: proc(5), `/proc/[pid]/stat`. */
import { readdirSync, readFileSync } from "node:fs";

export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** One letter; `Z` and `X` have ended and wait to be reaped. */
  readonly state: string;
  /** Start time in clock ticks since boot: with the pid it names one process and no later one. */
  readonly startTicks: number;
  /** CPU time of its own. */
  readonly cpuTicks: number;
  /** CPU time of its descendants that have ended and were waited for. */
  readonly reapedTicks: number;
  readonly threads: number;
  readonly residentPages: number;
}

/** A process that cannot be mistaken for another, across restarts of the machine too. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
  readonly bootId: string;
}

/** USER_HZ, 100 on every architecture the runtime exists for. */
export const TICK_MS = 10;

export function readProcess(pid: number): Process | undefined {
  const stat = readProc(`${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name stands in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const number = (field: number): number => Number(fields[field - 3]); // numbered as in proc(5)
  return {
    pid,
    parent: number(4),
    session: number(6),
    state: fields[0] ?? "X",
    startTicks: number(22),
    cpuTicks: number(14) + number(15),
    reapedTicks: number(16) + number(17),
    threads: number(20),
    residentPages: number(24),
  };
}

/** Every process we may see. One that comes or goes meanwhile may be missing. */
export function allProcesses(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((process) => process !== undefined);
}

/** Children, their children and so on, without the roots themselves. */
export function descendants(processes: readonly Process[], roots: Iterable<number>): Process[] {
  const children = new Map<number, Process[]>();
  for (const process of processes) {
    const siblings = children.get(process.parent);
    if (siblings === undefined) children.set(process.parent, [process]);
    else siblings.push(process);
  }
  const found = new Map<number, Process>();
  const queue = [...roots];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const child of children.get(next) ?? []) {
      if (found.has(child.pid)) continue; // the listing is not one instant: a reused pid may close a circle
      found.set(child.pid, child);
      queue.push(child.pid);
    }
  }
  return [...found.values()];
}

export function hasEnded(process: Process): boolean {
  return process.state === "Z" || process.state === "X";
}

export function identify(pid: number): ProcessIdentity | undefined {
  const process = readProcess(pid);
  if (process === undefined) return undefined;
  return { pid, startTicks: process.startTicks, bootId: bootId() };
}

export function isAlive(identity: ProcessIdentity): boolean {
  const process = readProcess(identity.pid);
  return (
    process !== undefined &&
    !hasEnded(process) &&
    process.startTicks === identity.startTicks &&
    identity.bootId === bootId()
  );
}

/** The environment a process was started with; empty when it is not ours to read. */
export function startEnvironment(pid: number): readonly string[] {
  return readProc(`${pid}/environ`)?.split("\0") ?? [];
}

/** To one process, or with a negative pid to a group. Whoever sends it looks himself whether it helped. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it has ended, or runs as another user (sudo)
  }
}

export function bootId(): string {
  return readProc("sys/kernel/random/boot_id")?.trim() ?? "";
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, "latin1");
  } catch {
    return undefined; // it has ended, or belongs to somebody else
  }
}
