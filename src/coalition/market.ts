/**
 * What a member knows of the market at this moment: recent cards, and the grants they cannot know of yet. Capacity
 * is always derived from records, never counted up and down.
 */
import { equal, toHex } from "../base/bytes.ts";
import { RECENT_CARDS_MAX } from "../base/limits.ts";
import type { Entry } from "../network/collection.ts";
import { cardHash, type ProviderCard } from "./card.ts";
import type { Candidate } from "./clearing.ts";
import type { ComputeGrant } from "./grant.ts";
import { attemptKey } from "./ids.ts";
import { isFinal } from "./log.ts";
import type { CoalitionRecords } from "./records.ts";

export interface Market {
  /** One candidate per provider with a current card. */
  candidates(): Iterable<Candidate>;
  /** The provider's candidate, if the card hash is its current card's or a recent one's. */
  candidateFor(grant: ComputeGrant): Candidate | undefined;
  /** Call once per tick. */
  sweep(): void;
}

export function openMarket(records: CoalitionRecords): Market {
  /** provider → hashes of its recent cards, newest last. */
  const recent = new Map<string, string[]>();
  /** provider → its grants that may still be running, by attempt key. */
  const open = new Map<string, Map<string, Entry<ComputeGrant>>>();

  const rememberCard = (entry: Entry<ProviderCard>): void => {
    const hashes = recent.get(entry.key) ?? [];
    hashes.push(toHex(cardHash(entry.body)));
    recent.set(entry.key, hashes.slice(-RECENT_CARDS_MAX));
  };
  const rememberGrant = (entry: Entry<ComputeGrant>): void => {
    const provider = toHex(entry.body.providerId);
    const grants = open.get(provider) ?? new Map<string, Entry<ComputeGrant>>();
    grants.set(entry.key, entry);
    open.set(provider, grants);
  };
  for (const entry of records.cards.values()) rememberCard(entry);
  for (const entry of records.grants.values()) rememberGrant(entry);
  records.cards.subscribe(rememberCard);
  records.grants.subscribe(rememberGrant);
  records.refusals.subscribe((entry) => open.get(toHex(entry.body.providerId))?.delete(entry.key));
  records.logs.subscribe(({ body }) => {
    if (isFinal(body))
      open.get(toHex(body.providerId))?.delete(attemptKey(body.requestId, body.attempt));
  });

  /** Not admitted yet, or younger than the card that is offered. */
  const unaccounted = (card: Entry<ProviderCard>): number => {
    let count = 0;
    for (const grant of open.get(card.key)?.values() ?? []) {
      const admitted = records.admissions.get(grant.key) !== undefined;
      if (!admitted || grant.arrivalOrder > card.arrivalOrder) count += 1;
    }
    return count;
  };
  const candidate = (entry: Entry<ProviderCard>): Candidate => ({
    card: entry.body,
    unaccounted: unaccounted(entry),
  });

  return {
    *candidates() {
      for (const entry of records.cards.values()) yield candidate(entry);
    },
    candidateFor(grant) {
      const entry = records.cards.get(toHex(grant.providerId));
      if (entry === undefined) return undefined;
      const known = recent.get(entry.key)?.includes(toHex(grant.cardHash)) ?? false;
      return known || equal(cardHash(entry.body), grant.cardHash) ? candidate(entry) : undefined;
    },
    sweep() {
      const now = records.tick().seq;
      for (const grants of open.values()) {
        for (const [key, entry] of grants) if (entry.body.validToTick < now) grants.delete(key);
      }
      for (const provider of recent.keys()) {
        if (records.cards.get(provider) === undefined) recent.delete(provider);
      }
    },
  };
}
