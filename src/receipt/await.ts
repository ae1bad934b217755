/**
 * Waiting for the answer to a request: follow the public records, look for the reply under the tags only we can
 * compute, open it and check that it is about our grant and signed by the provider that holds it.
 */
import { type Bytes32, equal, fromHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import { kemKeyPair } from "../base/hpke.ts";
import { ATTEMPTS_MAX, REFUSAL_DETAIL_MS, REQUESTER_LOOK_MS } from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import { logChain, logKey } from "../coalition/answers.ts";
import { attemptViews, standing } from "../coalition/attempts.ts";
import type { Coalition } from "../coalition/config.ts";
import { type ComputeGrant, grantId, type RefusalCode } from "../coalition/grant.ts";
import { attemptKey } from "../coalition/ids.ts";
import { type ComputeLog, isFinal } from "../coalition/log.ts";
import type { CoalitionRecords } from "../coalition/records.ts";
import { type BoardRecords, type Reply, replyKey, replySecret, replyTag } from "../zipnet/board.ts";
import { type RequestState, seedOf } from "../zipnet/compose.ts";
import { ADVICE } from "./advice.ts";
import { openReply, type ReplyContent, type SshAccessReceipt } from "./receipt.ts";

/** What the person waiting is told, in order. */
export type Progress =
  | { readonly step: "granted"; readonly grant: ComputeGrant }
  | { readonly step: "admitted"; readonly grant: ComputeGrant }
  | {
      readonly step: "refused";
      readonly grant: ComputeGrant;
      readonly code: RefusalCode;
      readonly detail: string;
    };

export interface Outcome {
  readonly grant: ComputeGrant;
  readonly receipt: SshAccessReceipt;
  readonly tag: Bytes32;
}

export interface RequesterView {
  readonly coalition: Coalition;
  readonly records: CoalitionRecords;
  readonly board: BoardRecords;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One attempt's refusal, with the provider's own words once they are here. */
interface Refused {
  /** When it was first seen: what it says to us alone is posted a moment later. */
  readonly sinceMs: number;
  readonly code: RefusalCode;
  readonly detail: string;
}

/**
 * Throws `attempts-exhausted`, `no-grant` (no provider, or one that never delivered), or the final refusal as
 * `not-eligible`; the text holds the last refusal's code and words.
 */
export async function awaitReceipt(
  view: RequesterView,
  state: RequestState,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  const { records, clock } = view;
  const requestId = fromHex(state.requestId);
  const told = new Set<string>();
  const refused = new Map<number, Refused>();
  const tell = (progress: Progress): void => {
    const id = `${progress.grant.attempt}/${progress.step}`;
    if (!told.has(id)) onProgress(progress);
    told.add(id);
  };
  return await untilFound(view, signal, () => {
    let awaitsDetail = false;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      const key = attemptKey(requestId, attempt);
      const grant = records.grants.get(key)?.body;
      if (grant === undefined) continue;
      tell({ step: "granted", grant });
      if (records.admissions.get(key) !== undefined) tell({ step: "admitted", grant });
      const receipt = findReceipt(view, state, grant);
      if (receipt !== undefined) return receipt;
      const refusal = records.refusals.get(key)?.body;
      if (refusal === undefined) continue;
      const { code, endorsement } = refusal;
      const detail = sealedDetail(view, state, grant, endorsement.kemKey);
      const sinceMs = refused.get(attempt)?.sinceMs ?? clock.monotonicMs();
      refused.set(attempt, { sinceMs, code, detail });
      if (detail !== "" || clock.monotonicMs() - sinceMs >= REFUSAL_DETAIL_MS)
        tell({ step: "refused", grant, code, detail });
      else awaitsDetail = true;
    }
    if (!awaitsDetail) checkHopeful(view, state, requestId, refused);
    return undefined;
  });
}

function findReceipt(
  view: RequesterView,
  state: RequestState,
  grant: ComputeGrant,
): Outcome | undefined {
  const tag = replyTag(seedOf(state, "secret"), grant.attempt, "receipt");
  const content = openTagged(view, tag, grant, seedOf(state, "kemSeed"));
  if (content?.kind !== "receipt") return undefined;
  return { grant, receipt: content, tag };
}

/** The provider's own words on a refusal, once they are on the board; "" until then. */
function sealedDetail(
  view: RequesterView,
  state: RequestState,
  grant: ComputeGrant,
  providerKem: Uint8Array,
): string {
  const opened = replyTag(seedOf(state, "secret"), grant.attempt, "refusal");
  const replySeed = seedOf(state, "replySeed");
  const closed = replyTag(
    replySecret(replySeed, providerKem, grant.requestId),
    grant.attempt,
    "refusal",
  );
  const content =
    openTagged(view, opened, grant, seedOf(state, "kemSeed")) ??
    openTagged(view, closed, grant, replySeed);
  // A stranger's words, on their way to a terminal.
  return content?.kind === "refusal" ? content.detail.replaceAll(/\p{C}/gu, " ").trim() : "";
}

/** Only what the granted provider posted, and what is about this very grant. */
function openTagged(
  { board, log }: RequesterView,
  tag: Bytes32,
  grant: ComputeGrant,
  seed: Uint8Array,
): ReplyContent | undefined {
  const { providerId } = grant;
  const reply: Reply | undefined = board.replies.get(replyKey({ providerId, tag }))?.body;
  if (reply === undefined) return undefined;
  try {
    const content = openReply(reply.sealed, grant, kemKeyPair(seed), reply.endorsement.bootKey);
    if (equal(content.grantId, grantId(grant))) return content;
    throw new BridgeError("wrong-grant", "the reply is about another grant");
  } catch (error) {
    log.warn("reply-not-usable", { error });
    return undefined;
  }
}

/** Throws once no receipt can come any more. One attempt of grace: a grant may still be on its way to us. */
function checkHopeful(
  { coalition, records }: RequesterView,
  state: RequestState,
  requestId: Uint8Array,
  refused: ReadonlyMap<number, Refused>,
): void {
  const { attemptTicks } = coalition.file.compute;
  const now = records.tick().seq - attemptTicks;
  const seen = records.requests.get(state.requestId)?.arrivalTick ?? now;
  const at = standing(attemptViews(records, requestId), seen, now, attemptTicks);
  if (at.state === "refused") {
    const words = wordsOf({ code: at.code, detail: refused.get(at.attempt)?.detail ?? "" });
    throw new BridgeError("not-eligible", `the provider refused the grant: ${words}`, {
      fix: ADVICE[at.code],
    });
  }
  if (at.state === "exhausted") throw exhausted(records, requestId, refused);
  if (at.state === "admitted") checkDelivering(records, requestId, at.attempt, now);
  if (at.state === "open" && now > state.expiryTick) {
    throw new BridgeError("no-grant", "the request lapsed without a grant", {
      retry: "later",
      fix: "check that a provider offers this shape, region and price, or wait longer with --patience",
    });
  }
}

/** Says what the last provider said, which is the best guess at what to change. */
function exhausted(
  records: CoalitionRecords,
  requestId: Uint8Array,
  refused: ReadonlyMap<number, Refused>,
): BridgeError {
  const granted = attemptViews(records, requestId).some((view) => view !== undefined);
  const last = refused.get(Math.max(...refused.keys()));
  const [why, fix] =
    last !== undefined
      ? [`the last refusal: ${wordsOf(last)}`, ADVICE[last.code]]
      : granted
        ? ["the granted provider never answered", "try again later"]
        : ["no offer fitted", "try again later, accept a higher price, or ask for less"];
  return new BridgeError(
    "attempts-exhausted",
    `no provider took the request in ${ATTEMPTS_MAX} attempts; ${why}`,
    { retry: "later", fix },
  );
}

function wordsOf({ code, detail }: Pick<Refused, "code" | "detail">): string {
  return detail === "" ? code : `${code} (${detail})`;
}

/** A provider that admitted the grant may die with it: the committee gives such a request to nobody else. */
function checkDelivering(
  records: CoalitionRecords,
  requestId: Uint8Array,
  attempt: number,
  now: number,
): void {
  const grant = records.grants.get(attemptKey(requestId, attempt))?.body;
  if (grant === undefined) return;
  const over = now > grant.validToTick;
  const last = logChain(records.logs, grantId(grant)).at(-1);
  // A receipt that was posted before the last entry may reach us a moment after it.
  const closed = last !== undefined && isFinal(last) && finalTick(records, last) < now;
  if (!over && !closed) return;
  throw new BridgeError(
    "no-grant",
    over
      ? "the grant ended and its provider never delivered a receipt"
      : "the provider closed the grant before its receipt arrived",
    { fix: "send a new request; nothing runs for this one any more" },
  );
}

function finalTick(records: CoalitionRecords, entry: ComputeLog): number {
  return records.logs.get(logKey(entry))?.arrivalTick ?? Number.POSITIVE_INFINITY;
}

/**
 * Waits for the last entry of a grant's log. Throws `no-grant` when the provider refused the grant after all, or every
 * record of it has lapsed.
 */
export async function awaitLog(
  view: RequesterView,
  grant: ComputeGrant,
  signal: AbortSignal,
): Promise<ComputeLog> {
  const { records, coalition } = view;
  const lapsesTick = grant.validToTick + coalition.file.compute.keepTicks;
  return await untilFound(view, signal, () => {
    const last = logChain(records.logs, grantId(grant)).at(-1);
    if (last !== undefined && isFinal(last)) return last;
    const refusal = records.refusals.get(attemptKey(grant.requestId, grant.attempt))?.body;
    if (refusal === undefined && records.tick().seq <= lapsesTick) return undefined;
    const why = refusal === undefined ? "it never came" : `the provider gave up: ${refusal.code}`;
    throw new BridgeError("no-grant", `no final log of this grant: ${why}`);
  });
}

/** Looks again whenever a record arrives, until `look` has an answer or throws. */
export async function untilFound<T>(
  { records, board, clock }: RequesterView,
  signal: AbortSignal,
  look: () => T | undefined,
): Promise<T> {
  let arrived = new AbortController();
  const wake = (): void => arrived.abort();
  const unsubscribe = [
    records.grants.subscribe(wake),
    records.admissions.subscribe(wake),
    records.refusals.subscribe(wake),
    records.logs.subscribe(wake),
    board.replies.subscribe(wake),
  ];
  try {
    for (;;) {
      signal.throwIfAborted();
      arrived = new AbortController();
      const found = look();
      if (found !== undefined) return found;
      await clock.sleep(REQUESTER_LOOK_MS, AbortSignal.any([signal, arrived.signal]));
    }
  } finally {
    for (const stop of unsubscribe) stop();
  }
}
