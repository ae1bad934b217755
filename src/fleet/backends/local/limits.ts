/**
 * What a tenant's process may take, as far as an ordinary process may limit another: setrlimit(2) through the
 * shell's ulimit, applied before the tenant's program starts. The limits count per process (processes: per user
 * of the system), so they stop accidents, not an attacker: this backend isolates nothing. What the system did not
 * let us apply is named, and the machine writes it to its log.
 */

import { statSync } from "node:fs";
import { setPriority } from "node:os";
import { geteuid } from "node:process";
import { LOCAL_PROCESSES_MAX } from "../../../base/limits.ts";
import type { Shape } from "../../../coalition/classes.ts";
import { allProcesses } from "./proc.ts";

const KIB_PER_MIB = 1024;
const BLOCKS_PER_GIB = 2 * 1024 * 1024; // ulimit -f counts 512 bytes (POSIX)
const NICE = 5; // the tenant's work yields to the provider's own

interface Limit {
  readonly name: string;
  /** Shell text in which "$1" is the value. */
  readonly apply: string;
  /** Undefined where the limit has no effect. */
  value(): number | undefined;
}

export interface Launcher {
  /** The names of limits that are not in force. */
  readonly missing: readonly string[];
  /** The command that applies the limits and becomes `command`. */
  wrap(command: readonly string[]): string[];
}

/** Tries each limit in a shell of its own, once. */
export async function createLauncher(shape: Shape): Promise<Launcher> {
  const limits: readonly Limit[] = [
    // Data, not address space: runtimes reserve far more of the latter than they use.
    { name: "memory", apply: 'ulimit -d "$1"', value: () => shape.ramMib * KIB_PER_MIB },
    {
      name: "file-size",
      apply: 'ulimit -f "$1"',
      value: () => Math.max(1, shape.storageGib) * BLOCKS_PER_GIB,
    },
    {
      name: "processes",
      apply: 'ulimit -u "$1" 2>/dev/null || ulimit -p "$1"', // bash and dash name it differently
      value: processesMax,
    },
    { name: "core-files", apply: 'ulimit -c "$1"', value: () => 0 },
  ];
  const works = await Promise.all(limits.map(applies));
  const applied = limits.filter((_, i) => works[i]);
  const missing = limits.filter((_, i) => !works[i]).map((limit) => limit.name);
  const script = [...applied.map((limit) => `{ ${limit.apply}; } 2>/dev/null; shift`), 'exec "$@"'];
  return {
    missing: [...missing, "cpu"], // only its priority is lowered
    wrap: (command) => [
      "/bin/sh",
      "-c",
      script.join("\n"),
      "sh",
      ...applied.map((limit) => String(limit.value())),
      ...command,
    ],
  };
}

/** False when it could not be lowered. Inherited by everything the machine starts. */
export function lowerPriority(): boolean {
  try {
    setPriority(NICE);
    return true;
  } catch {
    return false;
  }
}

async function applies(limit: Limit): Promise<boolean> {
  const value = limit.value();
  if (value === undefined) return false;
  const shell = Bun.spawn(["/bin/sh", "-c", limit.apply, "sh", String(value)], {
    env: {},
    stdio: ["ignore", "ignore", "ignore"],
  });
  return (await shell.exited) === 0;
}

/** RLIMIT_NPROC counts every thread of the user, so our allowance stands on top of those. Root is exempt. */
function processesMax(): number | undefined {
  const user = geteuid?.();
  if (user === undefined || user === 0) return undefined;
  let threads = 0;
  for (const process of allProcesses()) {
    if (ownerOf(process.pid) === user) threads += process.threads;
  }
  return threads + LOCAL_PROCESSES_MAX;
}

function ownerOf(pid: number): number | undefined {
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    return undefined;
  }
}
