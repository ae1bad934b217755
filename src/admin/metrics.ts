/** GET /metrics: the facts of one moment and the meters of this process, in the order of their declaration. */
import { build } from "../base/build.ts";
import type { BackendFacts, Facts } from "./facts.ts";
import { MACHINE_STATES, type Meters, OUTCOMES } from "./meters.ts";
import { type Labels, type MetricSpec, metricText, type Sample } from "./prometheus.ts";
import { readinessOf } from "./readiness.ts";

const MIB = 1024 * 1024;

export interface ProcessFacts {
  readonly eventClients: number;
  readonly residentBytes: number;
  readonly cpuSeconds: number;
}

export function metricsOf(facts: Facts, meters: Meters, running: ProcessFacts): string {
  return [
    ...processMetrics(facts, meters, running),
    ...networkMetrics(facts, meters),
    ...grantMetrics(facts, meters),
    ...backendMetrics(facts, meters),
    ...machineMetrics(facts, meters),
    ...moneyMetrics(facts, meters),
  ].join("");
}

function processMetrics(facts: Facts, { specs, adminRefused }: Meters, running: ProcessFacts) {
  const { provider, card } = facts;
  const { ready, checks } = readinessOf(facts);
  const { version, tree, flavour } = build;
  return [
    metricText(specs.build, [{ labels: { version, tree, flavour, bun: Bun.version }, value: 1 }]),
    one(specs.started, provider.startedMs / 1000),
    one(specs.memory, running.residentBytes),
    one(specs.cpu, running.cpuSeconds),
    metricText(
      specs.standing,
      specs.standing.labels.standing.map((standing) => ({
        labels: { standing },
        value: provider.standing === standing ? 1 : 0,
      })),
    ),
    one(specs.ready, ready ? 1 : 0),
    metricText(
      specs.check,
      checks
        .filter(({ state }) => state !== "not-required")
        .map(({ name, state }) => ({ labels: { check: name }, value: state === "ok" ? 1 : 0 })),
    ),
    one(specs.endorsed, seconds(provider.endorsedUntilMs)),
    one(specs.card, seconds(card.publishedMs)),
    one(specs.eventClients, running.eventClients),
    metricText(specs.adminRefused, adminRefused.samples()),
  ];
}

function networkMetrics({ coalition }: Facts, { specs }: Meters) {
  return [
    one(specs.peers, coalition.peers),
    one(specs.members, coalition.members.total),
    one(specs.membersConnected, coalition.members.connected),
    one(specs.membersNeeded, coalition.members.needed),
    one(specs.tick, coalition.tick),
    metricText(specs.recordsRefused, labelled("code", coalition.recordRefusals)),
  ];
}

function grantMetrics({ grants, totals, journalFault }: Facts, meters: Meters) {
  const { specs } = meters;
  const total = (name: string): number => totals.get(name) ?? 0;
  return [
    one(specs.seen, total("grants:seen")),
    one(specs.admitted, total("grants:admitted")),
    one(specs.recovered, total("grants:recovered")),
    metricText(
      specs.ended,
      OUTCOMES.map((outcome) => ({ labels: { outcome }, value: total(`grants:${outcome}`) })),
    ),
    metricText(
      specs.refused,
      specs.refused.labels.code.map((code) => ({
        labels: { code },
        value: total(`refusals:${code}`),
      })),
    ),
    one(specs.active, grants.active),
    one(specs.limit, grants.cap),
    metricText(
      specs.inState,
      specs.inState.labels.state.map((state) => ({
        labels: { state },
        value: grants.byState.get(state) ?? 0,
      })),
    ),
    one(specs.receipts, total("receipts")),
    one(specs.repliesPending, grants.repliesPending),
    meters.stages.text(),
    one(specs.journalOk, journalFault === undefined ? 1 : 0),
    metricText(specs.journalFailures, withZero(meters.journalFailures.samples())),
    meters.journalWrites.text(),
  ];
}

function backendMetrics({ backends }: Facts, meters: Meters) {
  const { specs } = meters;
  return [
    each(specs.backendUp, backends, ({ ok }) => (ok === true ? 1 : 0)),
    each(specs.backendLastOk, backends, ({ lastOkMs }) => seconds(lastOkMs)),
    each(specs.backendOffers, backends, ({ offers }) => offers),
    each(specs.backendFree, backends, ({ free }) => free),
    metricText(
      specs.backendBlocked,
      backends.flatMap(({ name, blocked }) =>
        blocked.map(({ code }) => ({ labels: { backend: name, code }, value: 1 })),
      ),
    ),
    metricText(specs.calls, meters.calls.samples()),
    meters.callSeconds.text(),
    metricText(specs.leftOut, meters.leftOut.samples()),
  ];
}

function machineMetrics({ backends, grants, orphans, totals }: Facts, { specs }: Meters) {
  const total = (name: string): number => totals.get(name) ?? 0;
  return [
    metricText(
      specs.machines,
      backends.flatMap(({ name, machines }) =>
        MACHINE_STATES.map((state) => ({
          labels: { backend: name, state },
          value: machines[state],
        })),
      ),
    ),
    each(specs.machinesStarted, backends, ({ name }) => total(`machines:${name}`)),
    one(specs.overrun, grants.overrunMs / 1000),
    one(specs.orphansFound, orphans.seen),
    one(specs.orphansRemoved, orphans.ended),
    each(specs.cores, backends, ({ name }) => total(`cpuCoreMs:${name}`) / 1000),
    each(specs.memorySeconds, backends, ({ name }) => total(`ramMibSeconds:${name}`) * MIB),
    metricText(
      specs.netBytes,
      backends.flatMap(({ name }) => {
        const value = totals.get(`netBytes:${name}`);
        return value === undefined ? [] : [{ labels: { backend: name }, value }];
      }),
    ),
    each(specs.unmeasured, backends, ({ name }) => total(`usageUnknown:${name}`)),
  ];
}

function moneyMetrics({ money, backends, totals }: Facts, { specs }: Meters) {
  const { currency } = money;
  const gauge = (spec: MetricSpec, value: number): string =>
    metricText(spec, [{ labels: { currency }, value }]);
  return [
    metricText(
      specs.spent,
      backends.map(({ name }) => ({
        labels: { backend: name, currency },
        value: totals.get(`spendMicros:${name}`) ?? 0,
      })),
    ),
    gauge(specs.spentToday, money.todayMicros),
    gauge(specs.reserved, money.reservedMicros),
    gauge(specs.capDay, money.capPerDayMicros),
    gauge(specs.capGrant, money.capPerGrantMicros),
  ];
}

function one(spec: MetricSpec, value: number): string {
  return metricText(spec, [{ labels: {}, value }]);
}

function each(
  spec: MetricSpec,
  backends: readonly BackendFacts[],
  value: (backend: BackendFacts) => number,
): string {
  return metricText(
    spec,
    backends.map((backend) => ({ labels: { backend: backend.name }, value: value(backend) })),
  );
}

function labelled(label: string, counts: ReadonlyMap<string, number>): Sample[] {
  return [...counts].map(([name, value]) => ({ labels: { [label]: name } as Labels, value }));
}

function withZero(samples: readonly Sample[]): readonly Sample[] {
  return samples.length === 0 ? [{ labels: {}, value: 0 }] : samples;
}

/** 0 for a time that has not come yet: alerts compare with now, and a missing series would never fire. */
function seconds(ms: number | undefined): number {
  return (ms ?? 0) / 1000;
}
