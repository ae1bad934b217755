/**
 * Ends what is over. From the first moment on, whether or not the coalition can be reached: an adopted machine must not
 * outlive its deadline because a network does not come back.
 */
import { INBOX_INTERVAL_MS } from "../base/limits.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { createDeadlines } from "../watch/deadline.ts";
import type { StageContext } from "./context.ts";

/** Runs until the signal aborts. */
export async function runDeadlines(
  { records, clock, coalition }: StageContext,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<void> {
  const deadlines = createDeadlines(clock);
  while (!signal.aborted) {
    for (const state of deadlines.due(ledger.live(), records.tick().seq))
      ledger.offer(state.key, { type: "deadline" });
    await clock.sleep(Math.min(INBOX_INTERVAL_MS, coalition.file.almanac.periodMs), signal);
  }
}
