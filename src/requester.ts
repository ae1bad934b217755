/**
 * The requester's side, step by step: join with a throw-away identity, look at the candidates, send one sealed request,
 * follow the public records, find the reply that only we can recognise, open and check it, acknowledge.
 */
import { type Verdict, verdictOnCard } from "./attestation/verdict.ts";
import { equal, fromHex, toHex } from "./base/bytes.ts";
import type { Clock } from "./base/clock.ts";
import { randomSeed, signingKey } from "./base/ed25519.ts";
import { BridgeError } from "./base/errors.ts";
import { kemKeyPair } from "./base/hpke.ts";
import { ATTEMPTS_MAX } from "./base/limits.ts";
import type { Logger } from "./base/log.ts";
import { attemptViews, standing } from "./coalition/attempts.ts";
import type { ProviderCard } from "./coalition/card.ts";
import type { Coalition } from "./coalition/config.ts";
import { type ComputeGrant, grantId, type RefusalCode } from "./coalition/grant.ts";
import { attemptKey } from "./coalition/ids.ts";
import { type ComputeLog, isFinal } from "./coalition/log.ts";
import { type CoalitionRecords, coalitionRecords, logChain } from "./coalition/records.ts";
import { type Join, type Joined, joinNetwork } from "./network/join.ts";
import { encodeRecord, signRecord } from "./network/record.ts";
import { openReply, type ReplyContent, type SshAccessReceipt } from "./receipt/receipt.ts";
import {
  allCollections,
  type BoardRecords,
  boardRecords,
  type Reply,
  replySecret,
  replyTag,
} from "./zipnet/board.ts";
import { composeRequest, type Order, type RequestState, seedOf } from "./zipnet/compose.ts";
import { packRequest, unpackRequest } from "./zipnet/message.ts";
import { directTransport, type RequestTransport } from "./zipnet/transport.ts";

export interface RequesterOptions {
  readonly coalition: Coalition;
  readonly clock: Clock;
  readonly log: Logger;
  readonly join?: Join;
}

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
  readonly tag: Uint8Array;
}

export interface CandidateView {
  readonly card: ProviderCard;
  readonly verdict: Verdict;
}

export interface Requester {
  readonly network: Joined;
  readonly records: CoalitionRecords;
  readonly transport: RequestTransport;
  /** Providers with a current card, and what can be concluded about each. */
  candidates(): readonly CandidateView[];
  /** Composes a request; nothing leaves this machine yet. Save the state before sending. */
  compose(order: Order): RequestState;
  send(state: RequestState, signal: AbortSignal): Promise<void>;
  /** Throws `attempts-exhausted`, `no-grant`, or the final refusal as `not-eligible`. */
  awaitReceipt(
    state: RequestState,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Outcome>;
  acknowledge(state: RequestState, outcome: Outcome, signal: AbortSignal): Promise<void>;
  /** The grant's final log entry. */
  awaitLog(grant: ComputeGrant, signal: AbortSignal): Promise<ComputeLog>;
  leave(): Promise<void>;
}

const LOOK_MS = 1000; // records wake us at once; this only bounds how late a lapsed wait is noticed

export async function joinAsRequester(
  options: RequesterOptions,
  signal: AbortSignal,
): Promise<Requester> {
  const { coalition, clock, log } = options;
  const records = coalitionRecords(coalition);
  const board = boardRecords(coalition, records);
  const network = await (options.join ?? joinNetwork)({
    network: coalition.network,
    seed: randomSeed(),
    listen: [],
    announce: [],
    bootstrap: coalition.members.flatMap((member) => member.addresses),
    collections: allCollections(records, board),
    tick: () => records.tick().seq,
    clock,
    log,
  });
  const { replica } = network;
  const members = coalition.members.map((member) => member.peer);
  const transport = directTransport(replica.transport, coalition);
  try {
    await replica.converged(members, coalition.file.committee.grantThreshold, signal);
  } catch (error) {
    await network.leave();
    throw error;
  }

  return {
    network,
    records,
    transport,
    candidates: () => {
      const now = records.tick().seq;
      return [...records.cards.values()]
        .map(({ body }) => ({ card: body, verdict: verdictOnCard(body) }))
        .filter(({ card }) => card.tick + coalition.file.compute.cardTicks >= now);
    },
    compose(order) {
      const { record, state } = composeRequest(coalition, order, records.tick().seq);
      return { ...state, message: toHex(packRequest(record)), sent: false };
    },
    async send(state, until) {
      const message = fromHex(state.message, "message");
      const bytes = encodeRecord(unpackRequest(message, coalition.network));
      replica.store.offer(bytes);
      await transport.send(message, until);
    },
    awaitReceipt: (state, onProgress, until) =>
      awaitReceipt({ coalition, records, board, clock, log }, state, onProgress, until),
    async acknowledge(state, { tag }, until) {
      const key = signingKey(seedOf(state, "ackSeed"));
      const record = signRecord(key, coalition.network, "ack", { v: 1, tag });
      await replica.confirm(record, members, 1, until);
    },
    awaitLog: (grant, until) =>
      changes(records, board, clock, until, () => {
        const last = logChain(records.logs, grantId(grant)).at(-1);
        return last !== undefined && isFinal(last) ? last : undefined;
      }),
    leave: () => network.leave(),
  };
}

interface View {
  readonly coalition: Coalition;
  readonly records: CoalitionRecords;
  readonly board: BoardRecords;
  readonly clock: Clock;
  readonly log: Logger;
}

async function awaitReceipt(
  view: View,
  state: RequestState,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  const { records, board, clock } = view;
  const requestId = fromHex(state.requestId);
  const told = new Set<string>();
  const tell = (progress: Progress): void => {
    const id = `${progress.grant.attempt}/${progress.step}`;
    if (!told.has(id)) onProgress(progress);
    told.add(id);
  };
  return await changes(records, board, clock, signal, () => {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      const key = attemptKey(requestId, attempt);
      const grant = records.grants.get(key)?.body;
      if (grant === undefined) continue;
      tell({ step: "granted", grant });
      if (records.admissions.get(key) !== undefined) tell({ step: "admitted", grant });
      const receipt = findReceipt(view, state, grant);
      if (receipt !== undefined) return receipt;
      const refusal = records.refusals.get(key)?.body;
      if (refusal !== undefined) {
        const { code } = refusal;
        tell({
          step: "refused",
          grant,
          code,
          detail: sealedDetail(view, state, grant, refusal.endorsement.kemKey),
        });
      }
    }
    checkHopeful(view, state, requestId);
    return undefined;
  });
}

function findReceipt(view: View, state: RequestState, grant: ComputeGrant): Outcome | undefined {
  const tag = replyTag(seedOf(state, "secret"), grant.attempt, "receipt");
  const content = openTagged(view, tag, grant, seedOf(state, "kemSeed"));
  if (content?.kind !== "receipt") return undefined;
  return { grant, receipt: content, tag };
}

/** The provider's own words on a refusal, once they are on the board; "" until then. */
function sealedDetail(
  view: View,
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
  return content?.kind === "refusal" ? content.detail : "";
}

/** Only what the granted provider posted, and what is about this very grant. */
function openTagged(
  { board, log }: View,
  tag: Uint8Array,
  grant: ComputeGrant,
  seed: Uint8Array,
): ReplyContent | undefined {
  const reply: Reply | undefined = board.replies.get(toHex(tag))?.body;
  if (reply === undefined || !equal(reply.providerId, grant.providerId)) return undefined;
  try {
    const content = openReply(reply.sealed, grant, kemKeyPair(seed), reply.endorsement.bootKey);
    if (equal(content.grantId, grantId(grant))) return content;
    throw new BridgeError("wrong-grant", "the reply is about another grant");
  } catch (error) {
    log.warn("reply-not-usable", { error });
    return undefined;
  }
}

/** Throws once no receipt can come any more. */
function checkHopeful(
  { coalition, records }: View,
  state: RequestState,
  requestId: Uint8Array,
): void {
  const now = records.tick().seq;
  const seen = records.requests.get(state.requestId)?.arrivalTick ?? now;
  const at = standing(
    attemptViews(records, requestId),
    seen,
    now,
    coalition.file.compute.attemptTicks,
  );
  if (at.state === "refused") {
    throw new BridgeError("not-eligible", `the provider refused the grant: ${at.code}`, {
      fix: "send a new request; see the detail above for what to change",
    });
  }
  if (at.state === "exhausted") {
    throw new BridgeError(
      "attempts-exhausted",
      `no provider took the request in ${ATTEMPTS_MAX} attempts`,
      {
        retry: "later",
        fix: "try again later, accept a higher price, or ask for less",
      },
    );
  }
  if (at.state === "open" && now > state.expiryTick) {
    throw new BridgeError("no-grant", "the request lapsed without a grant", {
      retry: "later",
      fix: "check that a provider offers this shape, region and price, or wait longer with --patience",
    });
  }
}

/** Looks again whenever a record arrives, until `look` has an answer or throws. */
async function changes<T>(
  records: CoalitionRecords,
  board: BoardRecords,
  clock: Clock,
  signal: AbortSignal,
  look: () => T | undefined,
): Promise<T> {
  let wake = new AbortController();
  const stops = [
    records.grants,
    records.admissions,
    records.refusals,
    records.logs,
    board.replies,
  ].map((collection) =>
    (collection as { subscribe(listener: () => void): () => void }).subscribe(() => wake.abort()),
  );
  try {
    for (;;) {
      signal.throwIfAborted();
      wake = new AbortController();
      const found = look();
      if (found !== undefined) return found;
      await clock.sleep(LOOK_MS, AbortSignal.any([signal, wake.signal]));
    }
  } finally {
    for (const stop of stops) stop();
  }
}
