/**
 * The clearing rule (DESIGN section 6.2): filter, then the cheapest, ties broken by a hash nobody can choose. Pure;
 * the proposer picks with it and every voter judges the pick with the same filters.
 */
import { compare, equal, toHex } from "../base/bytes.ts";
import { taggedHash } from "../base/hash.ts";
import type { ProviderCard } from "./card.ts";
import { fits, type Misfit, type Offer } from "./offer.ts";
import type { Accept, ComputeRequest } from "./request.ts";

export interface Candidate {
  readonly card: ProviderCard;
  /** Grants to this provider that its card cannot know of yet. */
  readonly unaccounted: number;
}

export interface ClearingView {
  readonly nowTick: number;
  readonly cardTicks: number;
  /** Providers (hex) of earlier attempts. */
  readonly excluded: ReadonlySet<string>;
  /** Why the card's evidence does not satisfy what the requester accepts; undefined when it does. */
  readonly evidence: (card: ProviderCard, accept: Accept) => string | undefined;
}

export type Ineligible =
  | Misfit
  | "stale-card"
  | "not-serving"
  | "no-capacity"
  | "excluded"
  | "evidence";

export interface Choice {
  readonly card: ProviderCard;
  readonly offer: Offer;
}

/** Why this offer of this card may not win; undefined means it may. */
export function ineligible(
  candidate: Candidate,
  offer: Offer,
  request: ComputeRequest,
  view: ClearingView,
): Ineligible | undefined {
  const { card, unaccounted } = candidate;
  if (view.excluded.has(toHex(card.providerId))) return "excluded";
  if (card.status !== "serving") return "not-serving";
  if (card.tick + view.cardTicks < view.nowTick) return "stale-card";
  const { grantsActive, grantsMax } = card.telemetry;
  if (Math.min(offer.free, grantsMax - grantsActive) - unaccounted < 1) return "no-capacity";
  if (view.evidence(card, request.accept) !== undefined) return "evidence";
  return fits(offer, request);
}

/** The winner, or undefined when nothing is eligible. */
export function choose(
  candidates: Iterable<Candidate>,
  request: ComputeRequest,
  requestId: Uint8Array,
  view: ClearingView,
): Choice | undefined {
  let best: Choice | undefined;
  for (const candidate of candidates) {
    for (const offer of candidate.card.offers) {
      if (ineligible(candidate, offer, request, view) !== undefined) continue;
      const choice = { card: candidate.card, offer };
      if (best === undefined || isBetter(choice, best, requestId)) best = choice;
    }
  }
  return best;
}

function isBetter(a: Choice, b: Choice, requestId: Uint8Array): boolean {
  const price = a.offer.pricePerHourMicros - b.offer.pricePerHourMicros;
  if (price !== 0) return price < 0;
  if (!equal(a.card.providerId, b.card.providerId)) {
    return compare(lot(requestId, a), lot(requestId, b)) < 0;
  }
  return compare(a.offer.offerId, b.offer.offerId) < 0;
}

function lot(requestId: Uint8Array, choice: Choice): Uint8Array {
  return taggedHash("compute-bridge/lot/v1", requestId, choice.card.providerId);
}

/** Which member (1-based) proposes for this attempt. */
export function proposerOf(requestId: Uint8Array, attempt: number, members: number): number {
  const seed = taggedHash("compute-bridge/proposer/v1", requestId);
  const first = new DataView(seed.buffer, seed.byteOffset).getUint32(0) % members;
  return ((first + attempt - 1) % members) + 1;
}

/**
 * What a card without evidence can satisfy: only a requester who asks for none. A card with evidence is judged by
 * the attestation layer, which passes its own predicate in.
 */
export function withoutEvidence(card: ProviderCard, accept: Accept): string | undefined {
  const asksNothing =
    accept.providerTee === "none" && accept.tcb === "unattested" && accept.releases.length === 0;
  if (asksNothing) return undefined;
  return card.evidenceHash === undefined ? "no-evidence" : "evidence-not-checked";
}
