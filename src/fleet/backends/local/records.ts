/**
 * What stands in a machine's folder. Every file appears whole or not at all, and each has one writer, so that
 * backend and machine need no lock between them:
 *
 *   job.json       what was ordered; the folder appears together with it          backend
 *   secrets.json   the bootstrap host key; the machine deletes it after reading   backend
 *   process.json   the one process that runs this machine, ever                   whoever comes first
 *   ready.json     the port it listens on                                         machine
 *   handover.json  the fresh host key                                             machine
 *   usage.json     usage so far, and the tenant's processes                       machine
 *   ending.json    the backend asked for the end                                  backend
 *   exit.json      how it ended, with the final usage                             whoever comes first
 *   machine.log    what the machine and the runtime printed
 *   bin, home      the tenant's
 *
 * Nothing is flushed to disk: a machine is a process, so no record is of use after a power cut.
 */
import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BridgeError } from "../../../base/errors.ts";
import { LOCAL_RECORD_BYTES_MAX } from "../../../base/limits.ts";

export const FILES = {
  job: "job.json",
  secrets: "secrets.json",
  process: "process.json",
  ready: "ready.json",
  handover: "handover.json",
  usage: "usage.json",
  ending: "ending.json",
  exit: "exit.json",
  log: "machine.log",
  bin: "bin",
  home: "home",
} as const;
export type RecordFile = (typeof FILES)[keyof typeof FILES];

/** Replaces the file. */
export function writeRecord(folder: string, file: RecordFile, value: unknown): void {
  const path = join(folder, file);
  writeFileSync(temporary(path), JSON.stringify(value), { mode: 0o600 });
  renameSync(temporary(path), path);
}

/** False when the file was there before: of several writers exactly one succeeds. */
export function createRecord(folder: string, file: RecordFile, value: unknown): boolean {
  const path = join(folder, file);
  writeFileSync(temporary(path), JSON.stringify(value), { mode: 0o600 });
  try {
    linkSync(temporary(path), path);
    return true;
  } catch (error) {
    if (errno(error) === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(temporary(path), { force: true });
  }
}

/** Undefined when there is no such file. Throws `too-large` or `malformed`. */
export function readRecord(folder: string, file: RecordFile): unknown {
  const path = join(folder, file);
  let text: string;
  try {
    const { size } = statSync(path);
    if (size > LOCAL_RECORD_BYTES_MAX) {
      throw new BridgeError("too-large", `${path} has ${size} bytes`);
    }
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return undefined;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BridgeError("malformed", `${path} is not JSON`, { cause });
  }
}

export function errno(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

/** Two processes never share one. */
function temporary(path: string): string {
  return `${path}.${process.pid}`;
}
