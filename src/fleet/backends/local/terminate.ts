/** Ends a machine and proves that nothing of it is left. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../base/clock.ts";
import { LOCAL_KILL_POLL_MS, LOCAL_TERM_MS_MAX } from "../../../base/limits.ts";
import type { Logger } from "../../../base/log.ts";
import type { Usage } from "../../backend.ts";
import { endProcesses } from "./ending.ts";
import { leftovers } from "./leftovers.ts";
import { isAlive, type ProcessIdentity, signal } from "./proc.ts";
import { createRecord, FILES, writeRecord } from "./records.ts";
import type { ExitRecord } from "./schemas.ts";
import type { Stored } from "./store.ts";
import { removeTenant } from "./tenant.ts";

export const UNKNOWN_USAGE = {
  cpuCoreMs: 0,
  ramMibSeconds: 0,
  netBytes: null,
  basis: "unknown",
} as const satisfies Usage;

/** Any number of times, also after a crash in the middle of it. `load` reads the machine anew. */
export async function terminate(
  load: () => Stored | undefined,
  clock: Clock,
  abort: AbortSignal,
  log: Logger,
): Promise<"gone" | "ending"> {
  const first = load();
  if (first === undefined) return "gone";
  writeRecord(first.folder, FILES.ending, { atMs: clock.nowMs() });
  // Where no process has come yet, none may come any more.
  const nobody: ProcessIdentity = { pid: 0, startTicks: 0, bootId: "" };
  createRecord(first.folder, FILES.process, nobody);
  const machine = load();
  if (machine?.process === undefined) return "gone";
  const identity = machine.process;
  if (machine.alive) {
    signal(identity.pid, "SIGTERM");
    const endMs = clock.monotonicMs() + LOCAL_TERM_MS_MAX;
    while (isAlive(identity) && clock.monotonicMs() < endMs && !abort.aborted) {
      await clock.sleep(LOCAL_KILL_POLL_MS, abort);
    }
    if (abort.aborted && isAlive(identity)) return "ending";
  }
  if (!(await endProcesses(() => leftovers(load() ?? machine), clock, 0))) return "ending";
  settle(load() ?? machine, machine.alive ? "ended" : "lost");
  if (!removeTenant(machine.folder)) log.warn("tenant-files-remain", { folder: machine.folder });
  return "gone";
}

/** The last word on a machine that could not say it itself. */
function settle(machine: Stored, cause: ExitRecord["cause"]): void {
  const usage = machine.usage?.usage ?? UNKNOWN_USAGE;
  createRecord(machine.folder, FILES.exit, { cause, usage, failure: null });
  rmSync(join(machine.folder, FILES.secrets), { force: true });
}
