/**
 * Brings what the network shows to the ledger: grants addressed to us, acknowledgements, deadlines. What the queue
 * drops is offered again, so a full queue delays a grant and never loses one.
 */
import { equal } from "../base/bytes.ts";
import { INBOX_INTERVAL_MS } from "../base/limits.ts";
import { type ComputeGrant, grantId } from "../coalition/grant.ts";
import { isFinal } from "../coalition/log.ts";
import { logChain } from "../coalition/records.ts";
import type { GrantEvent } from "../ledger/events.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Entry } from "../network/collection.ts";
import { createDeadlines } from "../watch/deadline.ts";
import { replyKey, replyTag } from "../zipnet/board.ts";
import type { StageContext } from "./context.ts";

/** Runs until the signal aborts. */
export async function runInbox(
  context: StageContext,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<void> {
  const { records, board, clock, coalition } = context;
  /** Grants to us that the ledger has not taken yet. */
  const waiting = new Map<string, Entry<ComputeGrant>>();
  const deadlines = createDeadlines(clock);
  /** Where the acknowledgement of a delivered receipt will stand → the grant's key. */
  const receipts = new Map<string, string>();

  const take = (entry: Entry<ComputeGrant>): void => {
    if (!equal(entry.body.providerId, context.providerId)) return;
    if (!offerGrant(entry)) waiting.set(entry.key, entry);
  };
  const unsubscribe = [
    records.grants.subscribe(take),
    board.acks.subscribe((entry) => {
      const key = receipts.get(entry.key);
      if (key !== undefined) ledger.offer(key, { type: "acked" });
    }),
  ];
  for (const entry of records.grants.values()) take(entry);
  while (!signal.aborted) {
    for (const [key, entry] of waiting) if (offerGrant(entry)) waiting.delete(key);
    for (const state of deadlines.due(ledger.live(), records.tick().seq)) {
      ledger.offer(state.key, { type: "deadline" });
    }
    noticeAcks();
    await clock.sleep(Math.min(INBOX_INTERVAL_MS, coalition.file.almanac.periodMs), signal);
  }
  for (const stop of unsubscribe) stop();

  /** True when the ledger knows the grant now, or never needs to. */
  function offerGrant(entry: Entry<ComputeGrant>): boolean {
    const grant = entry.body;
    if (ledger.knows(entry.key)) return true;
    if (records.refusals.get(entry.key) !== undefined) return true;
    const id = grantId(grant);
    const last = logChain(records.logs, id).at(-1);
    if (last !== undefined && isFinal(last)) return true;
    const admission = records.admissions.get(entry.key)?.body;
    const event: GrantEvent = {
      type: "granted",
      grantId: id,
      grant,
      record: entry.bytes,
      recovered: admission !== undefined,
      ...(admission === undefined ? {} : { admittedTick: admission.tick }),
    };
    return ledger.offer(entry.key, event);
  }

  /** Keeps the keys of delivered receipts at hand, and catches acknowledgements that came first. */
  function noticeAcks(): void {
    const seen = new Set<string>();
    for (const state of ledger.live()) {
      if (state.state !== "delivered" || state.acked) continue;
      const { providerId } = context;
      const tag = replyTag(state.resolution.secret, state.grant.attempt, "receipt");
      const receipt = replyKey({ providerId, tag });
      seen.add(receipt);
      receipts.set(receipt, state.key);
      if (board.acks.get(receipt) !== undefined) ledger.offer(state.key, { type: "acked" });
    }
    for (const key of receipts.keys()) if (!seen.has(key)) receipts.delete(key);
  }
}
