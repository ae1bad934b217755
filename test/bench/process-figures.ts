/** What the system says of a process (proc(5)). */
import { readFileSync } from "node:fs";

const KIB_PER_MIB = 1024;

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
