/**
 * The provider, stage by stage. It joins the coalition's network, keeps its card current, takes the grants addressed to
 * it, and brings each through its life: open the envelope, start a machine, post the sealed receipt, watch, log.
 *
 *   records (network, coalition)  →  inbox  →  ledger (one writer)  →  stages  →  fleet, reply board, logs
 *
 * What is where: ledger/transition.ts has every legal step of a grant, stages/handlers.ts who carries each out.
 */
import type { Clock } from "./base/clock.ts";
import type { Logger } from "./base/log.ts";
import type { Secret } from "./base/secret.ts";
import { Shutdown } from "./base/shutdown.ts";
import type { Coalition } from "./coalition/config.ts";
import { coalitionRecords } from "./coalition/records.ts";
import { type ConfiguredBackend, createFleet, type Fleet } from "./fleet/fleet.ts";
import { createReconciler } from "./fleet/reconcile.ts";
import type { Caps } from "./ledger/inbox.ts";
import type { Journal } from "./ledger/journal.ts";
import { type Ledger, startLedger } from "./ledger/ledger.ts";
import { type Join, type Joined, joinNetwork } from "./network/join.ts";
import { type CardKeeper, createCardKeeper } from "./stages/card.ts";
import type { StageContext } from "./stages/context.ts";
import { createHandlers } from "./stages/handlers.ts";
import { createIdentity, endorseSelf } from "./stages/identity.ts";
import { runInbox } from "./stages/inbox.ts";
import { createStanding, type StandingKeeper } from "./stages/standing.ts";
import { claimOf, runEvery } from "./stages/sweep.ts";
import { allCollections, boardRecords } from "./zipnet/board.ts";

export interface ProviderOptions {
  readonly name: string;
  readonly coalition: Coalition;
  readonly operatorSeed: Secret;
  readonly operatorKey: Parameters<typeof createIdentity>[0];
  /** Machine keys derive from it; 0600 beside the journal. */
  readonly localSecret: Secret;
  readonly journal: Journal;
  readonly backends: (providerId: string) => readonly ConfiguredBackend[];
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly caps: Caps;
  readonly release: string;
  readonly cardRefreshMs: number;
  readonly logIntervalMs: number;
  readonly reconcileIntervalMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly join?: Join;
}

export interface Provider {
  readonly context: StageContext;
  readonly ledger: Ledger;
  readonly fleet: Fleet;
  readonly network: Joined;
  readonly cards: CardKeeper;
  readonly standing: StandingKeeper;
  readonly counts: { readonly orphansSeen: number; readonly orphansEnded: number };
  /** Resolves when the coalition has been reached and the first card is out. */
  readonly ready: Promise<void>;
  /** Stops without ending machines: they are found again after a restart. */
  stop(): Promise<void>;
}

const STOP_STAGE_MS = 5000;

export async function startProvider(options: ProviderOptions): Promise<Provider> {
  const { coalition, journal, clock, log, caps, join = joinNetwork } = options;
  const shutdown = new Shutdown(clock);
  const { signal } = shutdown;

  const identity = createIdentity(options.operatorKey, options.name);
  const records = coalitionRecords(coalition);
  const board = boardRecords(coalition, records);
  const network = await join({
    network: coalition.network,
    seed: identity.bootSeed,
    listen: options.listen,
    announce: options.announce,
    bootstrap: coalition.members.flatMap((member) => member.addresses),
    collections: allCollections(records, board),
    tick: () => records.tick().seq,
    clock,
    log,
  });
  shutdown.defer("network", () => network.leave());

  const fleet = createFleet(
    options.backends(Buffer.from(identity.providerId).toString("hex")),
    clock,
    log,
  );
  const context: StageContext = {
    ...identity,
    ...options,
    records,
    board,
    fleet,
    replica: network.replica,
  };
  const standing = createStanding(context, journal);
  const ledger: Ledger = startLedger({
    journal,
    clock,
    log,
    handle: createHandlers(context),
    context: () => ({
      nowMs: Math.floor(clock.nowMs()),
      nowTick: records.tick().seq,
      tickPeriodMs: coalition.file.almanac.periodMs,
      committeeEpoch: coalition.file.committee.epoch,
      standing: standing.now(),
      caps,
      priceOf: (offer) => cards.priceOf(offer),
      logIntervalMs: options.logIntervalMs,
    }),
  });
  shutdown.defer("ledger", () => ledger.stop());

  const cards: CardKeeper = createCardKeeper(context, {
    ...options,
    refreshMs: options.cardRefreshMs,
    books: () => ledger.books(),
    status: () => standing.cardStatus(ledger.fault() !== undefined),
    remembered: standing.offers,
  });
  ledger.onChange(({ before, after }) => {
    if (before?.state !== after.state) cards.changed();
  });
  fleet.onChange(() => cards.changed());
  standing.onChange(() => cards.changed());

  const reconciler = createReconciler({ fleet, clock, log, claim: claimOf(context, ledger) });
  const ready = (async () => {
    // The coalition first: what it remembers of us decides our seq, and which grants we already took.
    const members = coalition.members.map((member) => member.peer);
    await network.replica.converged(members, coalition.file.committee.unsealThreshold, signal);
    endorseSelf({
      ...options,
      identity,
      network: coalition.network,
      records,
      lastSeq: standing.lastSeq,
      signal,
    });
    await standing.checkRetired();
    await fleet.refresh(signal);
    cards.publish();
    void runInbox(context, ledger, signal);
    void cards.run(signal);
    void runEvery(options.reconcileIntervalMs, clock, signal, log, () => reconciler.sweep(signal));
    log.info("ready", { provider: identity.providerId });
  })();
  ready.catch((error: unknown) => {
    if (!signal.aborted) log.error("provider-not-ready", { error });
  });

  return {
    context,
    ledger,
    fleet,
    network,
    cards,
    standing,
    counts: reconciler.counts,
    ready,
    async stop() {
      await shutdown.run(STOP_STAGE_MS, log);
      journal.close();
    },
  };
}
