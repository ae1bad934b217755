/**
 * Whether this instance takes work. Draining and retirement survive a restart in the journal; an instance that sees a
 * newer one of the same provider is fenced at once: it admits nothing and spends nothing more (DESIGN section 5).
 */
import { equal, toHex } from "../base/bytes.ts";
import { BridgeError, hasCode } from "../base/errors.ts";
import type { ProviderCard } from "../coalition/card.ts";
import type { Endorsement } from "../coalition/endorsement.ts";
import type { Marker } from "../coalition/marker.ts";
import type { Standing } from "../ledger/inbox.ts";
import type { Journal } from "../ledger/journal.ts";
import { publishOnce, type StageContext } from "./context.ts";

/** What a drain was asked to end in. */
export interface DrainOrder {
  readonly reason: Marker["reason"];
  /** End what still runs at the bound. */
  readonly terminate: boolean;
}

export interface StandingKeeper {
  now(): Standing;
  cardStatus(faulty: boolean): ProviderCard["status"];
  /** Asked again while it drains, it may ask for more. */
  drain(order: DrainOrder): void;
  /** The order an earlier run of this provider has left unfinished. */
  unfinishedDrain(): DrainOrder | undefined;
  /** Takes a drain back. */
  resume(): void;
  /** The drain is complete: the next start serves again. */
  finishDrain(): void;
  /** The signed last word; the caller has made sure that nothing is running. */
  publishMarker(reason: Marker["reason"], signal: AbortSignal): Promise<void>;
  /** Throws when this provider has been retired: nothing supersedes that. */
  checkRetired(): void;
  /** Resolves when a newer instance of this provider shows up. */
  readonly fenced: Promise<void>;
  onChange(listener: () => void): void;
  readonly lastSeq: { get(): number; set(seq: number): void };
  readonly offers: {
    load(): ReadonlyMap<string, number>;
    save(offers: ReadonlyMap<string, number>): void;
  };
}

export function createStanding(context: StageContext, journal: Journal): StandingKeeper {
  const { records, providerId, bootKey, log } = context;
  const listeners: (() => void)[] = [];
  let standing: Standing = journal.meta("standing") === "draining" ? "draining" : "serving";
  let resolveFenced = (): void => {};
  const fenced = new Promise<void>((resolve) => {
    resolveFenced = resolve;
  });
  const become = (next: Standing): void => {
    if (standing === next || standing === "fenced" || standing === "retired") return;
    standing = next;
    log.info("standing", { standing });
    for (const listener of listeners) listener();
  };
  const look = (endorsement: Endorsement): void => {
    // An equal seq under another boot key is fenced, too: of two such instances at most one may go on.
    if (equal(endorsement.bootKey, bootKey.publicKey) || endorsement.seq < ownSeq(context)) return;
    become("fenced");
    resolveFenced();
  };
  /** A disk that fails must not keep this process from stopping; then only the next start does not know of it. */
  const recordIfWritable = (write: () => void): void => {
    try {
      write();
    } catch (error) {
      if (!hasCode(error, "journal-unwritable")) throw error;
      log.error("standing-not-recorded", { standing, error });
    }
  };
  records.cards.subscribe(({ body }) => {
    if (equal(body.providerId, providerId)) look(body.endorsement);
  });
  records.markers.subscribe(({ body }) => {
    if (equal(body.providerId, providerId)) look(body.endorsement);
  });

  return {
    now: () => standing,
    cardStatus(faulty) {
      if (standing === "serving") return faulty ? "unavailable" : "serving";
      return standing === "draining" ? "draining" : "unavailable";
    },
    drain({ reason, terminate }) {
      become("draining");
      recordIfWritable(() => {
        // The standing last: without it the rest means nothing.
        journal.setMeta("drain-reason", reason);
        journal.setMeta("drain-terminate", String(terminate));
        journal.setMeta("standing", "draining");
      });
    },
    unfinishedDrain() {
      if (journal.meta("standing") !== "draining") return undefined;
      return {
        reason: journal.meta("drain-reason") === "retire" ? "retire" : "stop",
        terminate: journal.meta("drain-terminate") === "true",
      };
    },
    resume() {
      journal.setMeta("standing", "serving");
      become("serving");
    },
    finishDrain: () => recordIfWritable(() => journal.setMeta("standing", "serving")),
    async publishMarker(reason, signal) {
      const make = (): Marker => ({
        v: 1,
        providerId,
        reason,
        tick: records.tick().seq,
        endorsement: context.endorsement(),
      });
      await publishOnce(context, records.markers, toHex(providerId), make, signal);
      if (reason === "retire") become("retired");
    },
    checkRetired() {
      const marker = records.markers.get(toHex(providerId))?.body;
      if (marker?.reason !== "retire") return;
      throw new BridgeError(
        "stale-epoch",
        "this provider has been retired, and nothing supersedes that",
        {
          fix: "start under another provider name",
        },
      );
    },
    fenced,
    onChange: (listener) => void listeners.push(listener),
    lastSeq: {
      get: () => Number(journal.meta("seq") ?? 0),
      set: (seq) => journal.setMeta("seq", String(seq)),
    },
    offers: {
      load: () =>
        new Map(
          Object.entries(JSON.parse(journal.meta("offers") ?? "{}") as Record<string, number>),
        ),
      save: (offers) => journal.setMeta("offers", JSON.stringify(Object.fromEntries(offers))),
    },
  };
}

/** Infinity before the first endorsement: then every known seq is older than the one we are about to get. */
function ownSeq(context: StageContext): number {
  try {
    return context.endorsement().seq;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
