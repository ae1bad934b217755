/**
 * Keeps the ProviderCard current: on every change of capacity, coalesced, and on a timer with jitter. Offers come from
 * the backends, what is free from the journal; nothing is offered that the caps would refuse.
 */

import { build } from "../base/build.ts";
import { toHex } from "../base/bytes.ts";
import { jitter } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import {
  CARD_COALESCE_MS,
  CARD_OFFERS_MAX,
  HOUR_MS,
  MINUTE_MS,
  OFFERS_REMEMBERED_MAX,
} from "../base/limits.ts";
import type { ProviderCard } from "../coalition/card.ts";
import { DURATION_MIN_MS } from "../coalition/classes.ts";
import { attemptSlackMs } from "../coalition/config.ts";
import { type Manifest, preHash } from "../coalition/manifest.ts";
import { type Offer, offerId } from "../coalition/offer.ts";
import type { RoutedOffer } from "../fleet/route.ts";
import { type Books, dayOf } from "../ledger/books.ts";
import type { Caps } from "../ledger/inbox.ts";
import { signRecord } from "../network/record.ts";
import type { StageContext } from "./context.ts";

/** The provider program's own manifest; its preHash stands in the card. */
export const ownManifest: Manifest = {
  v: 1,
  crate: {
    name: "compute-bridge",
    version: build.version,
    tree: build.tree === "source" ? "" : build.tree,
  },
  minCpuMillicores: 2000,
  minRamMib: 2048,
  minStorageGib: 0,
  tee: "tdx",
  networkPolicy: { egress: "allowlist", hosts: [] },
};

export interface CardOptions {
  readonly refreshMs: number;
  readonly logIntervalMs: number;
  readonly release: string;
  readonly caps: Caps;
  readonly books: () => Books;
  /** `unavailable` while anything keeps this provider from serving. */
  readonly status: () => ProviderCard["status"];
  /** Offers survive a restart: a grant made meanwhile may cite one. */
  readonly remembered: {
    load(): ReadonlyMap<string, number>;
    save(offers: ReadonlyMap<string, number>): void;
  };
}

export interface CardKeeper {
  /** Something changed: publish soon. */
  changed(): void;
  /** Publishes at once, for a change of status. */
  publish(): void;
  /** The price under which this offer is, or was lately, on our card. */
  priceOf(offer: Uint8Array): number | undefined;
  run(signal: AbortSignal): Promise<void>;
}

export function createCardKeeper(context: StageContext, options: CardOptions): CardKeeper {
  const { clock, log, fleet, records, replica, coalition } = context;
  /** Offers that a grant under way may still cite. */
  const published = new Map(options.remembered.load());
  let counter = 0;
  let dirty = new AbortController();

  return {
    changed: () => dirty.abort(),
    publish,
    priceOf: (offer) => published.get(toHex(offer)),
    async run(signal) {
      while (!signal.aborted) {
        dirty = new AbortController();
        await fleet.refresh(signal);
        if (signal.aborted) return;
        publish();
        await clock.sleep(jitter(options.refreshMs), AbortSignal.any([signal, dirty.signal]));
        await clock.sleep(CARD_COALESCE_MS, signal);
      }
    },
  };

  function publish(): void {
    try {
      replica.publish(signRecord(context.bootKey, coalition.network, "card", makeCard()));
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error;
      log.warn("card-not-published", { error });
    }
  }

  function remember(offers: readonly Offer[]): void {
    const before = published.size;
    for (const offer of offers) {
      published.delete(toHex(offer.offerId)); // re-inserted last: the oldest are forgotten first
      published.set(toHex(offer.offerId), offer.pricePerHourMicros);
    }
    const added = published.size > before;
    for (const id of published.keys()) {
      if (published.size <= OFFERS_REMEMBERED_MAX) break;
      published.delete(id);
    }
    if (added) options.remembered.save(published);
  }

  function makeCard(): ProviderCard {
    const books = options.books();
    const { caps } = options;
    const limits = { caps, books, slackMs: attemptSlackMs(coalition), today: dayOf(clock.nowMs()) };
    const offers = cardOffers(fleet.offers(), limits);
    remember(offers);
    counter += 1;
    return {
      v: 1,
      providerId: context.providerId,
      counter,
      tick: records.tick().seq,
      status: options.status(),
      offers,
      rates: { minimumChargeMicros: 0, logIntervalMs: options.logIntervalMs },
      telemetry: {
        cpuMillicoresProvisioned: books.cpuMillicores,
        ramMibProvisioned: books.ramMib,
        grantsActive: Math.min(books.active, caps.grantsMax),
        grantsMax: caps.grantsMax,
      },
      replyChannel: "board",
      manifestPreHash: preHash(ownManifest),
      release: {
        version: options.release === "" ? build.version : options.release,
        tree: build.tree,
      },
      endorsement: context.endorsement(),
    };
  }
}

export interface CardLimits {
  readonly caps: Caps;
  readonly books: Books;
  readonly slackMs: number;
  /** UTC day, whose spending cap counts. */
  readonly today: number;
}

/** Equal terms of several backends are one offer; what is reserved but not started yet is not free. */
export function cardOffers(
  routed: readonly RoutedOffer[],
  { caps, books, slackMs, today }: CardLimits,
): Offer[] {
  const byId = new Map<string, Offer>();
  for (const { offer } of routed) {
    const durationMaxMs = affordableMs(offer.pricePerHourMicros, caps) - slackMs;
    if (durationMaxMs < MINUTE_MS) continue;
    const terms = {
      region: offer.region,
      regionClass: offer.regionClass,
      shape: offer.shape,
      tee: offer.tee,
      imageKinds: [...offer.imageKinds],
      durationMaxMs,
      pricePerHourMicros: offer.pricePerHourMicros,
    };
    const id = offerId(terms);
    const key = toHex(id);
    const free = (byId.get(key)?.free ?? 0) + offer.free;
    byId.set(key, { offerId: id, ...terms, free });
  }
  const room = Math.max(0, caps.grantsMax - books.active);
  return [...byId.values()]
    .map((offer) => ({
      ...offer,
      free: Math.max(
        0,
        Math.min(room, offer.free - books.pending, affordable(offer.pricePerHourMicros)),
      ),
    }))
    .sort((a, b) => a.pricePerHourMicros - b.pricePerHourMicros)
    .slice(0, CARD_OFFERS_MAX);

  /** How many of the shortest grants the day's cap still pays for. */
  function affordable(pricePerHourMicros: number): number {
    if (pricePerHourMicros === 0) return Number.MAX_SAFE_INTEGER;
    const left = caps.spendPerDayMicros - (books.spendMicrosByDay.get(today) ?? 0);
    return Math.floor((left * HOUR_MS) / (pricePerHourMicros * DURATION_MIN_MS));
  }
}

/** The longest grant whose worst case stays within the caps. */
function affordableMs(pricePerHourMicros: number, caps: Caps): number {
  if (pricePerHourMicros === 0) return caps.durationMaxMs;
  const byMoney = Math.floor((caps.spendPerGrantMicros / pricePerHourMicros) * HOUR_MS);
  return Math.min(caps.durationMaxMs, byMoney);
}
