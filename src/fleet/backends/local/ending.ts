/** Ends processes and everything they start meanwhile. */
import type { Clock } from "../../../base/clock.ts";
import { LOCAL_KILL_MS_MAX, LOCAL_KILL_POLL_MS } from "../../../base/limits.ts";
import { hasEnded, type Process, signal } from "./proc.ts";

/**
 * Asks all that `find` returns to end, kills what is left after `graceMs`, and goes on until `find` returns nobody.
 * False when somebody was still there LOCAL_KILL_MS_MAX later.
 */
export async function endProcesses(
  find: () => readonly Process[],
  clock: Clock,
  graceMs: number,
): Promise<boolean> {
  const startMs = clock.monotonicMs();
  const asked = new Set<number>();
  for (;;) {
    const left = find();
    if (left.length === 0) return true;
    const sinceMs = clock.monotonicMs() - startMs;
    if (sinceMs >= graceMs + LOCAL_KILL_MS_MAX) return false;
    for (const process of left) {
      if (hasEnded(process)) continue; // its parent has yet to wait for it
      if (sinceMs >= graceMs) signal(process.pid, "SIGKILL");
      else if (!asked.has(process.pid)) {
        asked.add(process.pid);
        for (const name of ["SIGHUP", "SIGTERM", "SIGCONT"] as const) signal(process.pid, name);
      }
    }
    await clock.sleep(LOCAL_KILL_POLL_MS);
  }
}
