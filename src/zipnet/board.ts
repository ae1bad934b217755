/**
 * The reply board: how a provider answers a requester nobody can name. Replies are fixed-size sealed records under
 * a tag only the requester can compute; readers hold the whole board, so reading tells nothing. A reply names the
 * one-time key that may acknowledge it, so that nobody else can silence a provider.
 */
import { type Bytes32, equal, toHex, u32be } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { taggedHash } from "../base/hash.ts";
import { dh } from "../base/hpke.ts";
import { REPLY_BYTES, REPLY_RECORDS_MAX } from "../base/limits.ts";
import {
  Bytes32Schema,
  byteString,
  codec,
  integer,
  type Static,
  strictObject,
  Type,
} from "../base/schema.ts";
import { DURATION_MAX_MS } from "../coalition/classes.ts";
import type { Coalition } from "../coalition/config.ts";
import { checkEndorsed, EndorsementSchema } from "../coalition/endorsement.ts";
import type { CoalitionRecords } from "../coalition/records.ts";
import { type AnyCollection, Collection } from "../network/collection.ts";

export const ReplySchema = strictObject({
  v: Type.Literal(1),
  providerId: Bytes32Schema,
  tag: Bytes32Schema,
  /** Who may acknowledge; absent when nobody need (a refusal before the envelope is open). */
  ackKey: Type.Optional(Bytes32Schema),
  /** Last tick of the grant it belongs to. */
  validToTick: integer(0),
  sealed: byteString(REPLY_BYTES),
  endorsement: EndorsementSchema,
});
export type Reply = Static<typeof ReplySchema>;

export const AckSchema = strictObject({
  v: Type.Literal(1),
  /** Who posted the reply. */
  providerId: Bytes32Schema,
  tag: Bytes32Schema,
});
export type Ack = Static<typeof AckSchema>;

export type ReplyKind = "receipt" | "refusal";

/** One tag per attempt and kind; `secret` is the envelope's, or `replySecret` while the envelope is closed. */
export function replyTag(secret: Uint8Array, attempt: number, kind: ReplyKind): Bytes32 {
  return taggedHash("compute-bridge/reply-tag/v1", secret, u32be(attempt), kind);
}

/**
 * Where a reply and its acknowledgement stand. The provider is part of it: a tag is public once it is posted, and no
 * rival may post over it.
 */
export function replyKey({ providerId, tag }: Pick<Reply, "providerId" | "tag">): string {
  return `${toHex(providerId)}:${toHex(tag)}`;
}

/** Shared by the requester's reply key and the provider's KEM key. Either side calls it with its own private key. */
export function replySecret(
  privateKey: Uint8Array,
  publicKey: Uint8Array,
  requestId: Uint8Array,
): Bytes32 {
  return taggedHash("compute-bridge/reply-secret/v1", dh(privateKey, publicKey), requestId);
}

export interface BoardRecords {
  readonly replies: Collection<Reply>;
  readonly acks: Collection<Ack>;
}

export function boardRecords(coalition: Coalition, records: CoalitionRecords): BoardRecords {
  const keepTicks = coalition.file.compute.keepTicks;
  const granted = countGrants(records);
  const replies = new Collection<Reply>({
    kind: "reply",
    body: codec(ReplySchema, "reply"),
    bytesMax: REPLY_BYTES + 768,
    recordsMax: REPLY_RECORDS_MAX,
    key: replyKey,
    // One receipt and one refusal per grant; the tag does not tell which grant, so they are counted together.
    quota: (reply) => ({ owner: toHex(reply.providerId), max: 2 * granted(reply.providerId) }),
    keepUntilTick: (reply, at) =>
      Math.min(reply.validToTick, at + coalitionLifeTicks(coalition)) + keepTicks,
    rank: (reply) => [reply.endorsement.seq],
    admit(reply, signer) {
      checkEndorsed(reply.endorsement, coalition.network, signer, reply.providerId);
      if (granted(reply.providerId) === 0) {
        throw new BridgeError("lacks-context", "no grant of this provider is known here");
      }
    },
  });
  const acks = new Collection<Ack>({
    kind: "ack",
    body: codec(AckSchema, "ack"),
    bytesMax: 384,
    recordsMax: REPLY_RECORDS_MAX,
    key: replyKey,
    quota: (_, signer) => ({ owner: toHex(signer), max: 1 }),
    keepUntilTick: (ack, at) => (replies.get(replyKey(ack))?.body.validToTick ?? at) + keepTicks,
    admit(ack, signer) {
      const reply = replies.get(replyKey(ack))?.body;
      if (reply === undefined)
        throw new BridgeError("lacks-context", "the reply it answers is not known here");
      if (reply.ackKey === undefined || !equal(reply.ackKey, signer)) {
        throw new BridgeError("wrong-key", "only the key named in the reply acknowledges it");
      }
    },
  });
  return { replies, acks };
}

/** Every collection of the network, in the order in which records depend on each other. */
export function allCollections(
  records: CoalitionRecords,
  board: BoardRecords,
): readonly AnyCollection[] {
  const { ticks, markers, cards, grants, requests, admissions, refusals, logs } = records;
  return [
    ticks,
    markers,
    cards,
    grants,
    requests,
    admissions,
    refusals,
    logs,
    board.replies,
    board.acks,
  ];
}

/** No grant outlives the longest request and its duration; a reply may not ask for longer. */
function coalitionLifeTicks(coalition: Coalition): number {
  return Math.ceil(DURATION_MAX_MS / coalition.file.almanac.periodMs);
}

function countGrants(records: CoalitionRecords): (providerId: Uint8Array) => number {
  const counts = new Map<string, number>();
  const add = (providerId: Uint8Array): void => {
    const key = toHex(providerId);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  };
  for (const entry of records.grants.values()) add(entry.body.providerId);
  records.grants.subscribe((entry) => add(entry.body.providerId));
  return (providerId) => counts.get(toHex(providerId)) ?? 0;
}
