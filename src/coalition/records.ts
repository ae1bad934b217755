/**
 * The coalition's collections: who may write what under which key, which record wins, and how long it is kept.
 * Admission here asks only what every node can check alone; whether to act on a record is decided where it is used.
 * Listed in the order in which records depend on each other, so that one sync pass suffices.
 */
import { type Bytes32, equal, toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import * as limits from "../base/limits.ts";
import { Collection } from "../network/collection.ts";
import { currentTick, type Tick, type TickVote, tickVoteCodec } from "./almanac.ts";
import { logKey } from "./answers.ts";
import { cardCodec, cardEpoch, type ProviderCard } from "./card.ts";
import { type Coalition, memberByKey } from "./config.ts";
import { checkEndorsed, type Endorsement } from "./endorsement.ts";
import {
  type Admission,
  admissionCodec,
  type ComputeGrant,
  grantCodec,
  grantId,
  type Refusal,
  refusalCodec,
} from "./grant.ts";
import { attemptKey } from "./ids.ts";
import { type ComputeLog, isFinal, logCodec, logHash } from "./log.ts";
import { type Marker, markerCodec } from "./marker.ts";
import { checkRequest, type RequestMessage, requestId, requestMessageCodec } from "./request.ts";

export interface CoalitionRecords {
  readonly ticks: Collection<TickVote>;
  readonly markers: Collection<Marker>;
  readonly cards: Collection<ProviderCard>;
  readonly grants: Collection<ComputeGrant>;
  readonly requests: Collection<RequestMessage>;
  readonly admissions: Collection<Admission>;
  readonly refusals: Collection<Refusal>;
  readonly logs: Collection<ComputeLog>;
  /** The tick that stands now. */
  tick(): Tick;
}

const FOREVER = Number.MAX_SAFE_INTEGER;

export function coalitionRecords(coalition: Coalition): CoalitionRecords {
  const { file } = coalition;
  const keepTicks = file.compute.keepTicks;
  const ticks = tickCollection(coalition);
  const tick = (): Tick => currentTick(ticks, file.committee.grantThreshold);

  const markers = new Collection<Marker>({
    kind: "marker",
    body: markerCodec,
    bytesMax: 1024,
    recordsMax: limits.PROVIDERS_MAX,
    key: (marker) => toHex(marker.providerId),
    quota: (marker) => operatorQuota(marker.endorsement),
    perPeerMax: limits.PROVIDERS_PER_PEER_MAX,
    // A stop outlives the cards it ends; a retirement is for good.
    keepUntilTick: (marker, at) =>
      marker.reason === "retire" ? FOREVER : Math.min(marker.tick, at) + keepTicks,
    rank: (marker) => [marker.reason === "retire" ? 1 : 0, marker.endorsement.seq],
    admit: (marker, signer) => checkProvider(coalition, marker, signer),
  });
  const cards = cardCollection(coalition, markers, tick);
  const grants = grantCollection(coalition);
  const requests = requestCollection(coalition, grants, tick);
  const answered = (body: Admission | Refusal, signer: Bytes32, key: string): void => {
    checkProvider(coalition, body, signer);
    checkGranted(grants, body, key);
  };
  const answers = {
    bytesMax: 1024,
    recordsMax: limits.GRANT_RECORDS_MAX,
    key: (body: Admission | Refusal) => attemptKey(body.requestId, body.attempt),
    quota: (body: Admission | Refusal) => ({
      owner: toHex(body.providerId),
      max: limits.ANSWERS_PER_PROVIDER_MAX,
    }),
    keepUntilTick: (body: Admission | Refusal, at: number) =>
      (grants.get(attemptKey(body.requestId, body.attempt))?.body.validToTick ?? at) + keepTicks,
    rank: (body: Admission | Refusal) => [body.endorsement.seq],
    admit: answered,
  };
  return {
    ticks,
    markers,
    cards,
    grants,
    requests,
    admissions: new Collection<Admission>({ ...answers, kind: "admission", body: admissionCodec }),
    refusals: new Collection<Refusal>({ ...answers, kind: "refusal", body: refusalCodec }),
    logs: logCollection(coalition, grants),
    tick,
  };

  function logCollection(of: Coalition, granted: Collection<ComputeGrant>): Collection<ComputeLog> {
    const logs: Collection<ComputeLog> = new Collection<ComputeLog>({
      kind: "log",
      body: logCodec,
      bytesMax: 1280,
      recordsMax: limits.LOG_RECORDS_MAX,
      key: logKey,
      quota: (log) => ({ owner: toHex(log.providerId), max: limits.LOGS_PER_PROVIDER_MAX }),
      keepUntilTick: (log, at) =>
        (granted.get(attemptKey(log.requestId, log.attempt))?.body.validToTick ?? at) + keepTicks,
      // The newest instance's word stands: it may sign an entry again that its predecessor half published.
      rank: (log) => [log.endorsement.seq],
      admit(log, signer) {
        checkProvider(of, log, signer);
        checkGranted(granted, log, attemptKey(log.requestId, log.attempt));
        checkChained(logs, log);
      },
    });
    return logs;
  }
}

function tickCollection(coalition: Coalition): Collection<TickVote> {
  return new Collection<TickVote>({
    kind: "tick",
    body: tickVoteCodec,
    bytesMax: 320,
    recordsMax: coalition.members.length,
    key: (_, signer) => toHex(signer),
    quota: (_, signer) => ({ owner: toHex(signer), max: 1 }),
    keepUntilTick: () => FOREVER,
    rank: (vote) => [vote.seq],
    admit(_, signer) {
      if (memberByKey(coalition, signer) === undefined) {
        throw new BridgeError("wrong-key", "only committee members sign ticks");
      }
    },
  });
}

function cardCollection(
  coalition: Coalition,
  markers: Collection<Marker>,
  tick: () => Tick,
): Collection<ProviderCard> {
  return new Collection<ProviderCard>({
    kind: "card",
    body: cardCodec,
    bytesMax: limits.RECORD_BYTES_MAX,
    recordsMax: limits.PROVIDERS_MAX,
    key: (card) => toHex(card.providerId),
    quota: (card) => operatorQuota(card.endorsement),
    perPeerMax: limits.PROVIDERS_PER_PEER_MAX,
    keepUntilTick: (card) => card.tick + coalition.file.compute.keepTicks,
    rank: cardEpoch,
    admit(card, signer) {
      checkProvider(coalition, card, signer);
      const now = tick();
      if (card.tick > now.seq + limits.CARD_TICKS_AHEAD_MAX) {
        throw new BridgeError("lacks-context", "the card is dated ahead of the almanac");
      }
      if (now.timeMs > card.endorsement.notAfterMs) {
        throw new BridgeError("expired", "the card's endorsement has lapsed");
      }
      const marker = markers.get(toHex(card.providerId))?.body;
      if (marker === undefined) return;
      if (marker.reason === "retire" || marker.endorsement.seq >= card.endorsement.seq) {
        throw new BridgeError("stale-epoch", `the provider has announced its ${marker.reason}`);
      }
    },
  });
}

function requestCollection(
  coalition: Coalition,
  grants: Collection<ComputeGrant>,
  tick: () => Tick,
): Collection<RequestMessage> {
  const { compute } = coalition.file;
  return new Collection<RequestMessage>({
    kind: "request",
    body: requestMessageCodec,
    bytesMax: limits.REQUEST_BYTES_MAX + 512,
    recordsMax: limits.REQUEST_RECORDS_MAX,
    key: ({ request }) => toHex(requestId(request)),
    quota: (_, signer) => ({ owner: toHex(signer), max: 1 }), // a one-time key signs once
    perPeerMax: limits.REQUESTS_PER_PEER_MAX,
    // As long as its grants; one that nobody was granted is junk once it has expired.
    keepUntilTick({ request }) {
      const last = lastGrantTick(grants, requestId(request));
      return last === undefined
        ? request.expiryTick + compute.attemptTicks
        : last + compute.keepTicks;
    },
    admit(message, signer) {
      if (!equal(message.request.key, signer)) {
        throw new BridgeError("wrong-key", "a request is signed by the one-time key it names");
      }
      checkRequest(message);
      if (message.request.expiryTick > tick().seq + compute.requestTicks) {
        // The same for an honest request when our almanac is behind: not the sender's fault.
        throw new BridgeError(
          "lacks-context",
          `a request may wait at most ${compute.requestTicks} ticks`,
        );
      }
    },
  });
}

/** When the latest grant of a request ends, by its ticks. */
function lastGrantTick(grants: Collection<ComputeGrant>, id: Bytes32): number | undefined {
  let last: number | undefined;
  for (let attempt = 1; attempt <= limits.ATTEMPTS_MAX; attempt += 1) {
    const ends = grants.get(attemptKey(id, attempt))?.body.validToTick;
    if (ends !== undefined) last = Math.max(last ?? 0, ends);
  }
  return last;
}

function grantCollection(coalition: Coalition): Collection<ComputeGrant> {
  return new Collection<ComputeGrant>({
    kind: "grant",
    body: grantCodec,
    bytesMax: 1024,
    recordsMax: limits.GRANT_RECORDS_MAX,
    key: (grant) => attemptKey(grant.requestId, grant.attempt),
    quota: () => ({ owner: "committee", max: limits.GRANT_RECORDS_MAX }),
    keepUntilTick: (grant) => grant.validToTick + coalition.file.compute.keepTicks,
    admit(grant, signer) {
      if (!equal(signer, coalition.grantKey)) {
        throw new BridgeError("wrong-key", "a grant is signed by this coalition's committee");
      }
      if (grant.committeeEpoch > coalition.file.committee.epoch) {
        throw new BridgeError(
          "lacks-context",
          "the grant is of a later committee epoch than our coalition file",
        );
      }
    },
  });
}

type ProviderSigned = { readonly providerId: Bytes32; readonly endorsement: Endorsement };

function checkProvider(coalition: Coalition, body: ProviderSigned, signer: Bytes32): void {
  checkEndorsed(body.endorsement, coalition.network, signer, body.providerId);
  const { operators } = coalition.file.compute;
  if (operators.length > 0 && !operators.includes(toHex(body.endorsement.operator))) {
    throw new BridgeError("not-endorsed", "the operator is not on the coalition's list");
  }
}

type GrantAnswer = Pick<Admission, "grantId" | "providerId">;

function checkGranted(grants: Collection<ComputeGrant>, answer: GrantAnswer, key: string): void {
  const grant = grants.get(key)?.body;
  if (grant === undefined)
    throw new BridgeError("lacks-context", "the grant it answers is not known here");
  if (!equal(grant.providerId, answer.providerId) || !equal(grantId(grant), answer.grantId)) {
    throw new BridgeError("not-granted", "the grant is not this provider's");
  }
}

function checkChained(logs: Collection<ComputeLog>, log: ComputeLog): void {
  if (log.seq === 0) {
    if (log.previous.some((byte) => byte !== 0)) {
      throw new BridgeError("wrong-schema", "log.previous: the first entry of a chain has none");
    }
    return;
  }
  const previous = logs.get(`${toHex(log.grantId)}:${log.seq - 1}`)?.body;
  if (previous === undefined)
    throw new BridgeError("lacks-context", "the log entry before is not known here");
  if (!equal(logHash(previous), log.previous)) {
    // A provider that signs two chains shows each peer one of them: not the peer's fault.
    throw new BridgeError("superseded", "another log entry stands before this one");
  }
  if (isFinal(previous)) {
    throw new BridgeError("wrong-schema", "log.previous: the chain is closed");
  }
}

function operatorQuota(endorsement: Endorsement): { owner: string; max: number } {
  return { owner: toHex(endorsement.operator), max: limits.PROVIDERS_PER_OPERATOR_MAX };
}
