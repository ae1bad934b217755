/**
 * Brings what the network shows to the ledger: grants addressed to us, and acknowledgements. What the queue drops is
 * offered again, so a full queue delays a grant and never loses one.
 */
import { equal } from "../base/bytes.ts";
import { INBOX_INTERVAL_MS } from "../base/limits.ts";
import { correlate } from "../base/log.ts";
import { isAnswered } from "../coalition/answers.ts";
import { type ComputeGrant, grantId } from "../coalition/grant.ts";
import type { GrantEvent } from "../ledger/events.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Entry } from "../network/collection.ts";
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
  /** Where the acknowledgement of a receipt will stand → the grant's key. */
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
    noticeAcks();
    await clock.sleep(Math.min(INBOX_INTERVAL_MS, coalition.file.almanac.periodMs), signal);
  }
  for (const stop of unsubscribe) stop();

  /** True when the ledger knows the grant now, or never needs to. */
  function offerGrant(entry: Entry<ComputeGrant>): boolean {
    const grant = entry.body;
    if (ledger.knows(entry.key) || isAnswered(records, grant)) return true;
    const admission = records.admissions.get(entry.key)?.body;
    const event: GrantEvent = {
      type: "granted",
      grantId: grantId(grant),
      grant,
      record: entry.bytes,
      recovered: admission !== undefined,
      ...(admission === undefined ? {} : { admittedTick: admission.tick }),
    };
    return ledger.offer(entry.key, event);
  }

  /** Keeps the keys of posted receipts at hand, and catches acknowledgements that came first. */
  function noticeAcks(): void {
    const seen = new Set<string>();
    for (const state of ledger.live()) {
      if ((state.state !== "running" && state.state !== "delivered") || state.acked) continue;
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

/**
 * After a restart: a grant of our journal that another instance has refused or closed meanwhile is not ours any more.
 * Its machine, if any, ends without another word.
 */
export function giveWay({ records, log }: StageContext, ledger: Ledger): void {
  for (const state of ledger.live()) {
    if (!["running", "delivered", "terminating"].includes(state.state)) continue;
    if (!isAnswered(records, state.grant)) continue;
    log.warn("answered-elsewhere", { grant: correlate(state.grantId), state: state.state });
    ledger.offer(state.key, { type: "answered" });
  }
}
