/** The ProviderCard: who the provider is, what it offers, and how it is doing. One per ProviderId, newest epoch wins. */
import type { Bytes32 } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { taggedHash } from "../base/hash.ts";
import { CARD_OFFERS_MAX } from "../base/limits.ts";
import {
  Bytes32Schema,
  codec,
  integer,
  oneOf,
  type Static,
  strictObject,
  Type,
} from "../base/schema.ts";
import { EndorsementSchema } from "./endorsement.ts";
import { OfferSchema } from "./offer.ts";

export const CARD_STATUSES = ["serving", "draining", "unavailable"] as const;

export const CardSchema = strictObject({
  v: Type.Literal(1),
  providerId: Bytes32Schema,
  /** Rises with every card under one endorsement seq; (seq, counter) is the card's epoch. */
  counter: integer(0),
  tick: integer(0),
  status: oneOf(CARD_STATUSES),
  offers: Type.Array(OfferSchema, { maxItems: CARD_OFFERS_MAX }),
  /** Declared rates beyond the offers' hourly price, in millionths of the coalition's currency. */
  rates: strictObject({
    minimumChargeMicros: integer(0),
    /** Interim logs come at this interval. */
    logIntervalMs: integer(1000),
  }),
  telemetry: strictObject({
    cpuMillicoresProvisioned: integer(0),
    ramMibProvisioned: integer(0),
    grantsActive: integer(0),
    grantsMax: integer(0),
  }),
  /** How replies come back. */
  replyChannel: oneOf(["board"]),
  /** preHash of the provider program's own manifest. */
  manifestPreHash: Bytes32Schema,
  /** The release the program was built from: version and source tree hash. */
  release: strictObject({
    version: Type.String({ maxLength: 32 }),
    tree: Type.String({ maxLength: 64 }),
  }),
  /** Hash of the evidence bundle; absent when the provider cannot prove what it runs on. */
  evidenceHash: Type.Optional(Bytes32Schema),
  endorsement: EndorsementSchema,
});
export type ProviderCard = Static<typeof CardSchema>;
export const cardCodec = codec(CardSchema, "card");

export function cardHash(card: ProviderCard): Bytes32 {
  return taggedHash("compute-bridge/card/v1", encodeCanonical(card));
}

/** For ordering cards and recognising a newer one. */
export function cardEpoch(card: ProviderCard): readonly [seq: number, counter: number] {
  return [card.endorsement.seq, card.counter];
}
