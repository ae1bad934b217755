/** The snapshot: everything the page, the API and `status` show, from the facts of one moment. */
import { build } from "../base/build.ts";
import { BLOCKED_SHOWN_MAX } from "../base/limits.ts";
import { REFUSAL_CODES } from "../coalition/grant.ts";
import { GRANT_STATES } from "../ledger/state.ts";
import type { BackendFacts, BlockedFacts, Facts } from "./facts.ts";
import { OUTCOMES } from "./meters.ts";
import { readinessOf } from "./readiness.ts";
import { minuteOf } from "./ring.ts";
import { type Snapshot, snapshotCodec } from "./schemas.ts";

type Totals = Facts["totals"];

/** Throws `wrong-schema`, a bug of ours, rather than show what has no place in a snapshot. */
export function snapshotOf(facts: Facts): Snapshot {
  const { totals, provider, coalition, money, journalFault } = facts;
  const { recordRefusals: _, ...shownCoalition } = coalition;
  const { version, tree, flavour } = build;
  const { startedMs, endorsedUntilMs, ...shownProvider } = provider;
  const backends = facts.backends.map((backend) => shownBackend(backend, totals));
  return snapshotCodec.check({
    v: 1,
    provider: {
      ...shownProvider,
      version,
      tree,
      flavour,
      startedMs: minuteOf(startedMs),
      endorsedUntilMs: endorsedUntilMs ?? null,
    },
    readiness: readinessOf(facts),
    coalition: shownCoalition,
    grants: shownGrants(facts),
    backends,
    usage: sumUsage(backends.map(({ usage }) => usage)),
    money: { ...money, spentTotalMicros: of(totals, "spend:micros") },
    journal: { ok: journalFault === undefined, code: journalFault ?? null },
    orphans: facts.orphans,
    events: facts.events.toReversed(),
  });
}

function shownGrants({ grants, totals }: Facts): Snapshot["grants"] {
  const { active, cap, byState, repliesPending, cpuMillicores, ramMib } = grants;
  return {
    active,
    cap,
    byState: counts(GRANT_STATES, (state) => byState.get(state) ?? 0),
    repliesPending,
    provisioned: { cpuMillicores, ramMib },
    lifetime: {
      seen: of(totals, "grants:seen"),
      admitted: of(totals, "grants:admitted"),
      recovered: of(totals, "grants:recovered"),
      receipts: of(totals, "receipts"),
      outcomes: counts(OUTCOMES, (outcome) => of(totals, `grants:${outcome}`)),
      refusals: REFUSAL_CODES.map((code) => ({ code, count: of(totals, `refusals:${code}`) }))
        .filter(({ count }) => count > 0)
        .toSorted((a, b) => b.count - a.count),
    },
  };
}

function shownBackend(backend: BackendFacts, totals: Totals): Snapshot["backends"][number] {
  const { name, ok, error, lastOkMs, offers, free, machines, blocked } = backend;
  return {
    name,
    state: ok === undefined ? "not-asked" : ok ? "ok" : "failing",
    error: error ?? null,
    lastOkMs: lastOkMs === undefined ? null : minuteOf(lastOkMs),
    offers,
    free,
    machines,
    machinesStarted: of(totals, `machines:${name}`),
    blocked: blocked.slice(0, BLOCKED_SHOWN_MAX).map(shownBlocked),
    blockedMore: Math.max(0, blocked.length - BLOCKED_SHOWN_MAX),
    usage: usageOf(name, totals),
    spentMicros: of(totals, `spendMicros:${name}`),
  };
}

export function shownBlocked({
  clearsInMs,
  ...place
}: BlockedFacts): Snapshot["backends"][number]["blocked"][number] {
  return { ...place, clearsInSeconds: Math.ceil(clearsInMs / 1000) };
}

function usageOf(backend: string, totals: Totals): Snapshot["usage"] {
  return {
    cpuCoreSeconds: Math.floor(of(totals, `cpuCoreMs:${backend}`) / 1000),
    ramMibSeconds: of(totals, `ramMibSeconds:${backend}`),
    netBytes: totals.get(`netBytes:${backend}`) ?? null,
    netUnknownGrants: of(totals, `netUnknown:${backend}`),
    unmeasuredGrants: of(totals, `usageUnknown:${backend}`),
  };
}

function sumUsage(all: readonly Snapshot["usage"][]): Snapshot["usage"] {
  const sum = (pick: (usage: Snapshot["usage"]) => number): number =>
    all.reduce((total, usage) => total + pick(usage), 0);
  const measured = all.some(({ netBytes }) => netBytes !== null);
  return {
    cpuCoreSeconds: sum((usage) => usage.cpuCoreSeconds),
    ramMibSeconds: sum((usage) => usage.ramMibSeconds),
    netBytes: measured ? sum((usage) => usage.netBytes ?? 0) : null,
    netUnknownGrants: sum((usage) => usage.netUnknownGrants),
    unmeasuredGrants: sum((usage) => usage.unmeasuredGrants),
  };
}

function counts<const K extends string>(
  keys: readonly K[],
  count: (key: K) => number,
): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, count(key)])) as Record<K, number>;
}

function of(totals: Totals, name: string): number {
  return totals.get(name) ?? 0;
}
