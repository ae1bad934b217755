/** Offers and the one predicate that says whether an offer serves a request: scheduler and provider both use it. */
import type { Bytes32 } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { taggedHash } from "../base/hash.ts";
import { Bytes32Schema, integer, type Static, strictObject, Type } from "../base/schema.ts";
import {
  covers,
  ImageKindSchema,
  RegionClassSchema,
  ShapeSchema,
  TeeKindSchema,
  teeSatisfies,
} from "./classes.ts";
import type { ComputeRequest } from "./request.ts";

export const OfferSchema = strictObject({
  offerId: Bytes32Schema,
  region: Type.String({ minLength: 1, maxLength: 64 }),
  regionClass: RegionClassSchema,
  shape: ShapeSchema,
  tee: TeeKindSchema,
  imageKinds: Type.Array(ImageKindSchema, { minItems: 1, maxItems: 3 }),
  durationMaxMs: integer(1),
  /** How many more of these the provider would start now. */
  free: integer(0, 1_000_000),
  /** Millionths of the coalition's currency, per hour. */
  pricePerHourMicros: integer(0),
});
export type Offer = Static<typeof OfferSchema>;

/** The same thing at the same price has the same id; what changes from card to card (`free`) is left out. */
export function offerId(offer: Omit<Offer, "offerId" | "free">): Bytes32 {
  const { region, regionClass, shape, tee, imageKinds, durationMaxMs, pricePerHourMicros } = offer;
  const terms = { region, regionClass, shape, tee, imageKinds, durationMaxMs, pricePerHourMicros };
  return taggedHash("compute-bridge/offer/v1", encodeCanonical(terms));
}

export type Misfit = "region" | "shape" | "tee" | "duration" | "price";

/** undefined means the offer serves the request; capacity is the caller's to count. */
export function fits(offer: Offer, request: ComputeRequest): Misfit | undefined {
  if (request.regionClass !== "any" && offer.regionClass !== request.regionClass) return "region";
  if (!covers(offer.shape, request.shape)) return "shape";
  if (!teeSatisfies(offer.tee, request.tee)) return "tee";
  if (request.durationMs > offer.durationMaxMs) return "duration";
  if (offer.pricePerHourMicros > request.maxPricePerHourMicros) return "price";
  return undefined;
}
