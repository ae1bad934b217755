/**
 * The admin endpoint's source, filled from a running provider. Here, and only here, states that carry ids are read;
 * what leaves is counts, sums and codes.
 */
import { type Bytes32, equal, toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { Coalition } from "../coalition/config.ts";
import type { Endorsement } from "../coalition/endorsement.ts";
import type { CoalitionRecords } from "../coalition/records.ts";
import type { Reconciler } from "../fleet/reconcile.ts";
import { dayOf } from "../ledger/books.ts";
import type { Caps } from "../ledger/inbox.ts";
import type { GrantState, GrantStateName } from "../ledger/state.ts";
import type { Replica } from "../network/replica.ts";
import { type ActivityParts, watchActivity } from "./activity.ts";
import { backendFacts, hasMachine } from "./backend-facts.ts";
import type { AdminControls, AdminSource, Facts, MoneyFacts, Order } from "./facts.ts";
import type { Observer } from "./observer.ts";

/** What is taken of a Provider (src/provider.ts); the whole of it fits. */
export interface ProviderParts extends ActivityParts {
  readonly context: {
    readonly providerId: Bytes32;
    readonly bootKey: { readonly publicKey: Uint8Array };
    /** Throws before the first endorsement. */
    readonly endorsement: () => Endorsement;
    readonly coalition: Coalition;
    readonly records: CoalitionRecords;
    readonly replica: Pick<Replica, "transport" | "refusals">;
    readonly clock: Clock;
  };
  readonly reconciler: Pick<Reconciler, "counts">;
}

export interface AdminSourceOptions {
  readonly provider: ProviderParts;
  /** As configured. */
  readonly name: string;
  readonly caps: Caps;
  readonly observer: Observer;
  readonly controls: AdminControls;
}

const ID_PREFIX_CHARS = 12;

export function adminSource(options: AdminSourceOptions): AdminSource {
  const { provider, observer, controls } = options;
  const { context, ledger, fleet, standing } = provider;
  const activity = watchActivity(provider, observer);
  const published = watchCard(context);
  const listeners = new Set<() => void>();
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  ledger.onChange(changed);
  fleet.onChange(changed);
  standing.onChange(changed);
  observer.ring.onAdd(changed);
  const order = (name: Order, act: () => void): void => {
    act();
    observer.ring.add({ kind: "operator", code: name });
  };
  return {
    facts: () => factsOf(options, published()),
    why: () => ({
      sinceMs: observer.startedMs,
      refusals: activity.refusals(),
      ...observer.seen(),
    }),
    drain: (how) => order("drain", () => controls.drain(how)),
    resume: () => order("resume", () => controls.resume()),
    retire: (how) => order("retire", () => controls.retire(how)),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function factsOf(
  { provider, name, caps, observer }: AdminSourceOptions,
  cardPublishedMs: number | undefined,
): Facts {
  const { context, ledger, standing, reconciler } = provider;
  const nowMs = context.clock.nowMs();
  const live = [...ledger.live()];
  const fault = ledger.fault();
  return {
    provider: {
      idPrefix: toHex(context.providerId).slice(0, ID_PREFIX_CHARS),
      name,
      standing: standing.now(),
      status: standing.cardStatus(fault !== undefined),
      endorsedUntilMs: endorsedUntil(context),
      startedMs: observer.startedMs,
      killSwitch: caps.killSwitch,
    },
    card: { publishedMs: cardPublishedMs, current: cardIsCurrent(context) },
    coalition: coalitionFacts(context),
    grants: grantFacts(provider, live, caps, nowMs),
    backends: backendFacts(provider.fleet, observer.backends, live, context.clock),
    money: moneyFacts(provider, live, caps, nowMs),
    journalFault: fault?.code,
    orphans: { seen: reconciler.counts.orphansSeen, ended: reconciler.counts.orphansEnded },
    // Evidence comes with attestation; until then cards carry none and nothing requires it.
    evidence: { required: false, state: "none", code: "no-evidence" },
    totals: ledger.totals(),
    events: observer.ring.events(),
  };
}

function endorsedUntil({ endorsement }: ProviderParts["context"]): number | undefined {
  try {
    return endorsement().notAfterMs;
  } catch {
    return undefined; // before the first one
  }
}

/** Notices when this instance's own card reaches the node's records. */
function watchCard({
  providerId,
  bootKey,
  records,
  clock,
}: ProviderParts["context"]): () => number | undefined {
  const isOwn = (entry: { signer: Uint8Array } | undefined): boolean =>
    entry !== undefined && equal(entry.signer, bootKey.publicKey);
  let publishedMs = isOwn(records.cards.get(toHex(providerId))) ? clock.nowMs() : undefined;
  records.cards.subscribe((entry) => {
    if (isOwn(entry)) publishedMs = clock.nowMs();
  });
  return () => publishedMs;
}

/** As the scheduler sees it: ours, and renewed within the coalition's `cardTicks`. */
function cardIsCurrent({
  providerId,
  bootKey,
  records,
  coalition,
}: ProviderParts["context"]): boolean {
  const card = records.cards.get(toHex(providerId));
  if (card === undefined || !equal(card.signer, bootKey.publicKey)) return false;
  return records.tick().seq - card.body.tick <= coalition.file.compute.cardTicks;
}

function coalitionFacts({
  coalition,
  records,
  replica,
}: ProviderParts["context"]): Facts["coalition"] {
  const { name, committee } = coalition.file;
  const peers = new Set(replica.transport.peers());
  return {
    name,
    fingerprint: toHex(coalition.fingerprint),
    computeModule: toHex(coalition.computeModule),
    tick: records.tick().seq,
    members: {
      connected: coalition.members.filter(({ peer }) => peers.has(peer)).length,
      total: coalition.members.length,
      needed: Math.max(committee.grantThreshold, committee.unsealThreshold),
    },
    peers: peers.size,
    recordRefusals: new Map(replica.refusals),
  };
}

function grantFacts(
  { ledger }: ProviderParts,
  live: readonly GrantState[],
  caps: Caps,
  nowMs: number,
): Facts["grants"] {
  const byState = new Map<GrantStateName, number>();
  let repliesPending = 0;
  let overrunMs = 0;
  for (const state of live) {
    byState.set(state.state, (byState.get(state.state) ?? 0) + 1);
    if (owesReply(state)) repliesPending += 1;
    if (hasMachine(state)) overrunMs = Math.max(overrunMs, nowMs - state.deadlineMs);
  }
  const { active, cpuMillicores, ramMib } = ledger.books();
  return { active, cap: caps.grantsMax, byState, repliesPending, cpuMillicores, ramMib, overrunMs };
}

function owesReply(state: GrantState): boolean {
  switch (state.state) {
    case "running":
      return true;
    case "delivered":
      return !state.acked;
    case "refused":
    case "failed":
      return !state.announced;
    default:
      return false;
  }
}

function moneyFacts(
  { ledger, context }: ProviderParts,
  live: readonly GrantState[],
  caps: Caps,
  nowMs: number,
): MoneyFacts {
  const over: readonly GrantStateName[] = ["logged", "closed", "refused", "failed"];
  const reserved = live.filter(({ state }) => !over.includes(state));
  return {
    currency: context.coalition.file.currency,
    todayMicros: ledger.books().spendMicrosByDay.get(dayOf(nowMs)) ?? 0,
    reservedMicros: reserved.reduce((sum, { spend }) => sum + spend.micros, 0),
    capPerDayMicros: caps.spendPerDayMicros,
    capPerGrantMicros: caps.spendPerGrantMicros,
  };
}
