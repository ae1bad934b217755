/** What the system says of a process (proc(5)). */
import { readFileSync } from "node:fs";

const KIB_PER_MIB = 1024;
const MS_PER_CLOCK_TICK = 10; // USER_HZ is 100 on every Linux there is

/** CPU time of this process so far, in user and kernel mode. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The same of another process that still runs. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the program's name in parentheses; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return MS_PER_CLOCK_TICK * (Number(fields[11]) + Number(fields[12]));
}

/** The most memory it has held at once, in MiB. */
export function peakMemoryMib(pid: number): number {
  return memoryMib(pid, "VmHWM");
}

export function residentMemoryMib(pid: number): number {
  return memoryMib(pid, "VmRSS");
}

function memoryMib(pid: number, field: "VmHWM" | "VmRSS"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [, kib] = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status) ?? [];
  if (kib === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
  return Number(kib) / KIB_PER_MIB;
}
