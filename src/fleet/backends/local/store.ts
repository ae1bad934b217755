/**
 * The folders under the state directory, one for each machine. A folder appears complete with its job, by one
 * rename, so a crash in between leaves only a temporary folder that carries our mark and is swept later.
 */
import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { toHex } from "../../../base/bytes.ts";
import { BridgeError } from "../../../base/errors.ts";
import { lp, sha256 } from "../../../base/hash.ts";
import { LOCAL_ENDED_KEPT_MAX, LOCAL_ENDING_MS_MAX } from "../../../base/limits.ts";
import { leftovers } from "./leftovers.ts";
import type { LocalOptions } from "./options.ts";
import { isAlive, type ProcessIdentity } from "./proc.ts";
import { errno, FILES, type RecordFile, readRecord, writeRecord } from "./records.ts";
import { type ExitRecord, type Job, records, type Secrets, type UsageRecord } from "./schemas.ts";

/** What the files of one folder say at one moment. */
export interface Stored {
  readonly folder: string;
  readonly job: Job;
  readonly process: ProcessIdentity | undefined;
  /** Whether that process lived before the other files were read: when not, they are final. */
  readonly alive: boolean;
  readonly port: number | undefined;
  /** In hex, once the machine was handed over. */
  readonly hostKey: string | undefined;
  readonly usage: UsageRecord | undefined;
  readonly exit: ExitRecord | undefined;
  /** When its end was last asked for. */
  readonly endingMs: number | undefined;
}

export type State = "starting" | "running" | "ending" | "ended";

export interface Store {
  /** Undefined when there is no such machine, or it is another provider's. */
  load(name: string): Stored | undefined;
  /** All of this provider's, ended ones included. `complete` is false when one could not be read. */
  all(): { readonly machines: readonly Stored[]; readonly complete: boolean };
  /** Throws `bug` when the name is taken. */
  create(job: Job): Stored;
  /** Gives the machine its secrets, for it to read once. */
  entrust(machine: Stored, secrets: Secrets): void;
}

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

export type StoreOptions = Pick<LocalOptions, "stateDir" | "providerId" | "name" | "clock" | "log">;

export function createStore({ stateDir, providerId, name, clock, log }: StoreOptions): Store {
  const root = resolve(stateDir);
  const mark = `.new-${toHex(sha256(lp(providerId, name))).slice(0, 16)}-`;
  const load = (machine: string): Stored | undefined => {
    if (!NAME.test(machine)) return undefined;
    const stored = read(join(root, machine));
    if (stored?.job.backend !== name) return undefined;
    return stored.job.order.tags.providerId === providerId ? stored : undefined;
  };
  const all = (): { machines: Stored[]; complete: boolean } => {
    const machines: Stored[] = [];
    let complete = true;
    for (const folder of folders(root)) {
      try {
        const stored = load(folder);
        if (stored !== undefined) machines.push(stored);
      } catch (error) {
        log.warn("machine-unreadable", { folder, error });
        complete = false;
      }
    }
    return { machines, complete };
  };
  return {
    load,
    all,
    create(job) {
      sweep(root, mark, all().machines, clock.nowMs());
      const machine = job.order.name;
      const temporary = join(root, `${mark}${machine}`);
      mkdirSync(temporary, { recursive: true, mode: 0o700 });
      writeRecord(temporary, FILES.job, job);
      try {
        renameSync(temporary, join(root, machine));
      } catch (cause) {
        throw new BridgeError("bug", `the machine name ${machine} is taken in ${root}`, { cause });
      }
      const stored = load(machine);
      if (stored === undefined) throw new BridgeError("bug", `${machine} vanished from ${root}`);
      return stored;
    },
    entrust: (machine, secrets) => writeRecord(machine.folder, FILES.secrets, secrets),
  };
}

/** Folders with one of our records that cannot be read are looked at, and ended, by people. */
function read(folder: string): Stored | undefined {
  const record = (file: RecordFile): unknown => readRecord(folder, file);
  const optional = <T>(file: RecordFile, check: (value: unknown) => T): T | undefined => {
    const value = record(file);
    return value === undefined ? undefined : check(value);
  };
  const job = optional(FILES.job, records.job.check);
  if (job === undefined) return undefined;
  const process = optional(FILES.process, records.process.check);
  const alive = process !== undefined && isAlive(process);
  return {
    folder,
    job,
    process,
    alive,
    port: optional(FILES.ready, records.ready.check)?.port,
    hostKey: optional(FILES.handover, records.handover.check)?.hostKey,
    usage: optional(FILES.usage, records.usage.check),
    exit: optional(FILES.exit, records.exit.check),
    endingMs: optional(FILES.ending, records.ending.check)?.atMs,
  };
}

/**
 * An end that was asked for long ago and has not come counts no more: whoever looks after orphans asks again. So does
 * he for a machine that died and left processes behind, which is why those too count as starting or running.
 */
export function stateOf(machine: Stored, nowMs: number): State {
  const { alive, process, exit, endingMs } = machine;
  if (!alive && (exit !== undefined || process?.pid === 0)) return "ended";
  if (!alive && process !== undefined && leftovers(machine).length === 0) return "ended";
  if (exit !== undefined) return "ending";
  if (endingMs !== undefined && Math.abs(nowMs - endingMs) < LOCAL_ENDING_MS_MAX) return "ending";
  return machine.hostKey === undefined ? "starting" : "running";
}

/** Temporary folders of a creation that was cut short, and the oldest records of ended machines. */
function sweep(root: string, mark: string, machines: readonly Stored[], nowMs: number): void {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(root)) {
    if (name.startsWith(mark)) rmSync(join(root, name), { recursive: true, force: true });
  }
  const ended = machines
    .filter((machine) => stateOf(machine, nowMs) === "ended")
    .sort((a, b) => b.job.createdMs - a.job.createdMs);
  for (const machine of ended.slice(LOCAL_ENDED_KEPT_MAX)) {
    rmSync(machine.folder, { recursive: true, force: true });
  }
}

function folders(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && NAME.test(entry.name))
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if (errno(error) === "ENOENT") return [];
    throw error;
  }
}
