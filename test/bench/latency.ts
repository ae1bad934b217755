/**
 * The provider's time for one grant, from the grant's arrival to its receipt held by a quorum of members, the backend's
 * time taken out. Two exchanges with the members are in it (shares, then the receipt), so it is also told in the two
 * units those are made of, measured in the same run, and once more without the waits for them (`own…`).
 */
import { must } from "../../src/base/assert.ts";
import { randomSeed } from "../../src/base/ed25519.ts";
import type { LoadCalls, LoadResult } from "./load-worker.ts";
import { atMost, type Findings, type Measure } from "./measure.ts";
import { peakMemoryMib } from "./process-figures.ts";
import type { GrantTiming, ProviderCalls } from "./provider-worker.ts";
import { mean, median, percentile, rounded, sum } from "./statistics.ts";
import type { Worker } from "./worker.ts";
import { inWorld, type World } from "./world.ts";

const PER_SECOND = 10;
const WARM_UP = 50;
const COUNT = 400;
/** Slow enough that nobody waits for a processor that an earlier grant keeps busy. */
const LIGHT_PER_SECOND = 2;
const LIGHT_COUNT = 40;
const BASELINE_SAMPLES = 200;
const P50_MS = 15;
const P99_MS = 60;
const WITHIN_MS = 120_000;

const load = { regionClass: "any", openMax: 400, withinMs: WITHIN_MS } as const;

export const latency: Measure = {
  name: "latency",
  title: `provider's time per grant, ${PER_SECOND} grants/s`,
  run: (say) => inWorld((world) => measure(world, say)),
};

async function measure(world: World, say: (line: string) => void): Promise<Findings> {
  const provider = world.worker<ProviderCalls>("provider-worker.ts");
  await provider.call("start", {
    ...{ coalitionFile: world.coalitionFile, folder: world.folder("provider"), name: "latency" },
    ...{ operatorSeed: randomSeed(), grantsMax: 400, regionClass: "europe" },
    ends: { afterMs: 1000 },
  });
  const requesters = world.worker<LoadCalls>("load-worker.ts");
  await requesters.call("join", { coalitionFile: world.coalitionFile });
  say(`warming up with ${WARM_UP} grants`);
  await requesters.call("run", { ...load, count: WARM_UP, perSecond: PER_SECOND });
  const units = await baseline(world, provider);
  say(`${LIGHT_COUNT} grants at ${LIGHT_PER_SECOND}/s`);
  const light = await timed(provider, requesters, LIGHT_COUNT, LIGHT_PER_SECOND);
  say(`${COUNT} grants at ${PER_SECOND}/s`);
  const processes = [provider, ...world.members];
  const cpuBefore = await Promise.all(processes.map((one) => one.call("cpuMs")));
  const { result, timings } = await timed(provider, requesters, COUNT, PER_SECOND);
  const cpuAfter = await Promise.all(processes.map((one) => one.call("cpuMs")));
  const [cpuMs = Number.NaN, ...memberCpuMs] = cpuAfter.map((ms, i) => ms - (cpuBefore[i] ?? 0));
  const p50 = percentile(timings.map(total), 50);
  const p99 = percentile(timings.map(total), 99);
  const ownP50 = percentile(own(timings), 50);
  const ownP99 = percentile(own(timings), 99);
  return {
    figures: {
      grants: timings.length,
      grantsPerSecond: rounded((1000 * result.sent) / result.elapsedMs),
      ...{ p50Ms: rounded(p50), p90Ms: rounded(percentile(timings.map(total), 90)) },
      ...{ p99Ms: rounded(p99), maxMs: rounded(percentile(timings.map(total), 100)) },
      ...{ ownP50Ms: rounded(ownP50), ownP99Ms: rounded(ownP99), ownGrants: own(timings).length },
      frostSignatureMs: rounded(units.signatureMs),
      loopbackRoundTripMs: rounded(units.roundTripMs, 3),
      ...inUnits("p50", p50, units),
      ...inUnits("p99", p99, units),
      ...inUnits("ownP50", ownP50, units),
      ...inUnits("ownP99", ownP99, units),
      lightP50Ms: rounded(percentile(light.timings.map(total), 50)),
      lightP99Ms: rounded(percentile(light.timings.map(total), 99)),
      lightOwnP50Ms: rounded(percentile(own(light.timings), 50)),
      ...parts(timings),
      cpuMsPerGrant: rounded(cpuMs / result.sent),
      memberCpuMsPerGrant: rounded(sum(memberCpuMs) / memberCpuMs.length / result.sent),
      rssPeakMib: rounded(peakMemoryMib(provider.pid), 1),
    },
    targets: [
      ...[atMost("p50Ms", p50, P50_MS), atMost("p99Ms", p99, P99_MS)],
      ...[atMost("ownP50Ms", ownP50, P50_MS), atMost("ownP99Ms", ownP99, P99_MS)],
    ],
    broken: [faults(light, LIGHT_COUNT), faults({ result, timings }, COUNT)].flat(),
  };
}

interface Timed {
  readonly result: LoadResult;
  readonly timings: readonly GrantTiming[];
}

async function timed(
  provider: Worker<ProviderCalls>,
  requesters: Worker<LoadCalls>,
  count: number,
  perSecond: number,
): Promise<Timed> {
  await provider.call("takeTimings");
  const result = await requesters.call("run", { ...load, count, perSecond });
  return { result, timings: await provider.call("takeTimings") };
}

function faults({ result, timings }: Timed, count: number): string[] {
  const { granted, lost, twice, refused } = result;
  if (lost + twice + refused === 0 && granted === count && timings.length === count) return [];
  return [
    `of ${count} requests ${granted} were granted, ${lost} lost, ${refused} refused, ${twice} answered twice, ${timings.length} timed`,
  ];
}

function total({ totalMs }: GrantTiming): number {
  return totalMs;
}

/** Without those whose question had to be repeated: nobody can say which of its waits counted. */
function own(timings: readonly GrantTiming[]): number[] {
  const plain = timings.filter(({ membersMs }) => Number.isFinite(membersMs));
  return plain.map(({ totalMs, membersMs }) => totalMs - membersMs);
}

interface Units {
  readonly signatureMs: number;
  readonly roundTripMs: number;
}

function inUnits(name: string, ms: number, units: Units): Record<string, number> {
  return {
    [`${name}InFrostSignatures`]: rounded(ms / units.signatureMs),
    [`${name}InLoopbackRoundTrips`]: rounded(ms / units.roundTripMs),
  };
}

/** One FROST signature (2 of 3) and one libp2p request to a member, in the provider's process while it has nothing to do. */
async function baseline(
  { ceremony, coalition }: World,
  provider: Worker<ProviderCalls>,
): Promise<Units> {
  const { peer } = must(coalition.members[0], "a coalition has members");
  const shares = ceremony.secrets.slice(0, coalition.file.committee.grantThreshold);
  const signatures = await provider.call("signatures", {
    ...{ shares: shares.map(({ grantShare }) => grantShare), count: BASELINE_SAMPLES },
  });
  const roundTrips = await provider.call("roundTrips", { peer, count: BASELINE_SAMPLES });
  return { signatureMs: median(signatures), roundTripMs: median(roundTrips) };
}

/** Where the time goes, as means. What members take is part of open and deliver. */
function parts(timings: readonly GrantTiming[]): Record<string, number> {
  const names = ["admitMs", "openMs", "routeMs", "createMs", "deliverMs", "membersMs"] as const;
  return Object.fromEntries(
    names.map((name) => [
      `mean${name.charAt(0).toUpperCase()}${name.slice(1)}`,
      rounded(mean(timings.map((timing) => timing[name]).filter(Number.isFinite))),
    ]),
  );
}
