/**
 * A small disk in a mount namespace of its own, at a path where nobody else sees it: it can be filled up and made to
 * fail without touching the host. A process that sleeps there holds it.
 */
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../support/eventually.ts";
import { type Ended, PATIENCE_MS, type Sandbox } from "./processes.ts";

export interface Disk {
  /** What to put before a command that is to see the disk. */
  readonly enter: readonly string[];
  /** Where the disk is seen from outside. */
  readonly seen: string;
  /** Runs a shell command inside; throws when it fails. */
  sh(command: string): Promise<Ended>;
  /** Lets go of the namespace; what is mounted goes with the last process in it. */
  release(): void;
}

/** `mount` is a shell command that makes the disk at `path`, given as $1. */
export async function makeDisk(sandbox: Sandbox, path: string, mount: string): Promise<Disk> {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const script = `${mount} && chmod 700 "$1" && echo mounted && exec sleep infinity`;
  const holder = sandbox.start(["unshare", "-m", "sh", "-ec", script, "disk", path]);
  await eventually(
    "the disk is mounted",
    () => {
      if (holder.lines.length > 0) throw new Error(holder.lines.map(({ text }) => text).join("\n"));
      return holder.stdout() === "mounted\n";
    },
    PATIENCE_MS,
  );
  const enter = ["nsenter", `--mount=/proc/${holder.pid}/ns/mnt`, "--"];
  return {
    enter,
    seen: join(`/proc/${holder.pid}/root`, path),
    async sh(command) {
      const ended = await sandbox.run([...enter, "sh", "-ec", command, "disk", path]);
      if (ended.exitCode !== 0) throw new Error(`${command}: ${ended.stderr}`);
      return ended;
    },
    release: () => holder.kill("SIGKILL"),
  };
}

/** Fills the disk to the last byte; returns how to give the space back. */
export function fill(folder: string): () => void {
  const path = join(folder, "filler");
  const file = openSync(path, "w");
  try {
    for (let size = 64 * 1024; size >= 1; ) {
      try {
        writeSync(file, new Uint8Array(size));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
        size >>= 1;
      }
    }
  } finally {
    closeSync(file);
  }
  return () => rmSync(path);
}
