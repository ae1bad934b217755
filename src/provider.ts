/**
 * The provider, stage by stage. It joins the coalition's network, keeps its card current, takes the grants addressed to
 * it, and brings each through its life: open the envelope, start a machine, post the sealed receipt, watch, log.
 *
 *   network, coalition  →  inbox  →  ledger (one writer)  →  stages  →  fleet, reply board, logs
 *
 * Where to read on: ledger/transition.ts has every legal step of a grant, stages/handlers.ts who carries each out.
 */
import { toHex } from "./base/bytes.ts";
import type { Clock } from "./base/clock.ts";
import { JOURNAL_PRUNE_MS } from "./base/limits.ts";
import type { Logger } from "./base/log.ts";
import type { Secret } from "./base/secret.ts";
import { Shutdown } from "./base/shutdown.ts";
import type { Coalition } from "./coalition/config.ts";
import { nameMembers, reachMembers } from "./coalition/reach.ts";
import { coalitionRecords } from "./coalition/records.ts";
import { type ConfiguredBackend, createFleet, type Fleet } from "./fleet/fleet.ts";
import { createReconciler, type Reconciler } from "./fleet/reconcile.ts";
import type { Caps } from "./ledger/inbox.ts";
import type { Journal } from "./ledger/journal.ts";
import { type Ledger, startLedger } from "./ledger/ledger.ts";
import { type Join, type Joined, joinNetwork } from "./network/join.ts";
import { type CardKeeper, createCardKeeper } from "./stages/card.ts";
import type { StageContext } from "./stages/context.ts";
import { runDeadlines } from "./stages/deadlines.ts";
import { createHandlers } from "./stages/handlers.ts";
import { createIdentity, endorseSelf, type MutableIdentity } from "./stages/identity.ts";
import { giveWay, runInbox } from "./stages/inbox.ts";
import { createStanding, type StandingKeeper } from "./stages/standing.ts";
import { claimOf, pruneJournal, runEvery } from "./stages/sweep.ts";
import { allCollections, boardRecords } from "./zipnet/board.ts";

export interface ProviderOptions {
  readonly name: string;
  readonly coalition: Coalition;
  /** Development: the provider endorses itself with the operator's key. */
  readonly operatorSeed: Secret;
  readonly operatorKey: Uint8Array;
  /** Machine keys derive from it; 0600 beside the journal. */
  readonly localSecret: Secret;
  readonly journal: Journal;
  readonly backends: readonly ConfiguredBackend[];
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
  /** Wraps the fleet, for whoever watches it. */
  readonly watchFleet?: (fleet: Fleet) => Fleet;
}

export interface Provider {
  readonly context: StageContext;
  readonly network: Joined;
  readonly fleet: Fleet;
  readonly ledger: Ledger;
  readonly standing: StandingKeeper;
  readonly cards: CardKeeper;
  readonly reconciler: Reconciler;
  /** Resolves when the coalition has been reached and the first card is out. */
  readonly ready: Promise<void>;
  /** Stops without ending machines: the next start finds them again. */
  stop(): Promise<void>;
}

const STOP_STAGE_MS = 5000;

export async function startProvider(options: ProviderOptions): Promise<Provider> {
  const { coalition, journal, clock, log } = options;
  const shutdown = new Shutdown(clock);

  // Who we are, and what the coalition knows.
  const identity = createIdentity(options.operatorKey, options.name);
  const records = coalitionRecords(coalition);
  const board = boardRecords(coalition, records);
  const network = await (options.join ?? joinNetwork)({
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

  // Where machines run, and the one writer that decides what happens to each grant.
  const { watchFleet = (fleet) => fleet } = options;
  const fleet = watchFleet(createFleet(options.backends, clock, log));
  const { replica } = network;
  const context: StageContext = { ...identity, ...options, records, board, fleet, replica };
  const standing = createStanding(context, journal);
  const informed = Promise.withResolvers<void>();
  const ledger: Ledger = startLedger({
    journal,
    clock,
    log,
    handle: createHandlers(context, standing),
    maySpend: informed.promise,
    context: () => ({
      nowMs: Math.floor(clock.nowMs()),
      nowTick: records.tick().seq,
      tickPeriodMs: coalition.file.almanac.periodMs,
      committeeEpoch: coalition.file.committee.epoch,
      standing: standing.now(),
      caps: options.caps,
      priceOf: (offer) => cards.priceOf(offer),
      logIntervalMs: options.logIntervalMs,
    }),
  });
  shutdown.defer("ledger", () => ledger.stop());
  void runDeadlines(context, ledger, shutdown.signal);

  // What the coalition is told about us, and how books and backends are kept in step.
  const cards: CardKeeper = createCardKeeper(context, {
    ...options,
    refreshMs: options.cardRefreshMs,
    books: () => ledger.books(),
    status: () => standing.cardStatus(options.caps.killSwitch || ledger.fault() !== undefined),
    remembered: standing.offers,
  });
  const reconciler = createReconciler({ fleet, clock, log, claim: claimOf(context, ledger) });
  ledger.onChange(({ before, after }) => {
    if (before?.state !== after.state) cards.changed();
  });
  ledger.onFault(() => cards.changed());
  fleet.onChange(() => cards.changed());
  standing.onChange(() => cards.changed());

  const parts = { context, network, fleet, ledger, standing, cards, reconciler };
  const ready = goLive(options, parts, identity, informed.resolve, shutdown.signal);
  ready.catch((error: unknown) => {
    if (!shutdown.signal.aborted) log.error("provider-not-ready", { error });
  });
  return {
    ...parts,
    ready,
    async stop() {
      await shutdown.run(STOP_STAGE_MS, log);
      journal.close();
    },
  };
}

/** The coalition first: what it remembers of us decides our seq, and which grants we had already taken. */
async function goLive(
  options: ProviderOptions,
  { context, fleet, ledger, standing, cards, reconciler }: Omit<Provider, "ready" | "stop">,
  identity: MutableIdentity,
  informed: () => void,
  signal: AbortSignal,
): Promise<void> {
  const { coalition, clock, log } = options;
  await reachMembers(
    {
      ...context,
      need: coalition.file.committee.unsealThreshold,
      patience: "wait",
      onSilent: (silent) => log.warn("members-silent", { members: nameMembers(silent) }),
    },
    signal,
  );
  standing.checkRetired();
  await endorseSelf({
    ...context,
    identity,
    operatorSeed: options.operatorSeed,
    name: options.name,
    lastSeq: standing.lastSeq,
    signal,
  });
  giveWay(context, ledger);
  await fleet.refresh(signal);
  informed();
  cards.publish();
  void runInbox(context, ledger, signal);
  void cards.run(signal);
  void runEvery(options.reconcileIntervalMs, clock, signal, log, () => reconciler.sweep(signal));
  void runEvery(JOURNAL_PRUNE_MS, clock, signal, log, async () =>
    pruneJournal(context, options.journal),
  );
  log.info("ready", { provider: toHex(context.providerId).slice(0, 12) });
}
