/**
 * The provider's time for one grant, from the grant's arrival to its receipt held by a quorum of members, the backend's
 * time taken out. Two exchanges with the members are in it (shares, then the receipt), so it is also told in the two
 * units those are made of, measured in the same run, and once more without them (`withoutMembers…`).
 */
import { must } from "../../src/base/assert.ts";
import { randomSeed } from "../../src/base/ed25519.ts";
import type { LoadCalls, LoadRun } from "./load-worker.ts";
import { atMost, type Findings, type Measure } from "./measure.ts";
import { peakMemoryMib } from "./process-figures.ts";
import type { GrantTiming, ProviderCalls } from "./provider-worker.ts";
import { median, percentile, rounded, sum } from "./statistics.ts";
import type { Worker } from "./worker.ts";
import { inWorld, type World } from "./world.ts";

const PER_SECOND = 5;
const WARM_UP = 50;
const COUNT = 100;
const BASELINE_SAMPLES = 200;
const WITHIN_MS = 120_000;

const load: Omit<LoadRun, "count"> = {
  ...{ regionClass: "any", perSecond: PER_SECOND, openMax: 400, withinMs: WITHIN_MS },
};

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
  await requesters.call("run", { ...load, count: WARM_UP });
  const units = await baseline(world, provider);
  say(`${COUNT} grants at ${PER_SECOND}/s`);
  await provider.call("takeTimings");
  const cpuBefore = await Promise.all([provider, ...world.members].map((one) => one.call("cpuMs")));
  const result = await requesters.call("run", { ...load, count: COUNT });
  const cpuAfter = await Promise.all([provider, ...world.members].map((one) => one.call("cpuMs")));
  const [cpuMs = Number.NaN, ...memberCpuMs] = cpuAfter.map((ms, i) => ms - (cpuBefore[i] ?? 0));
  const timings = await provider.call("takeTimings");
  const total = timings.map((timing) => timing.totalMs);
  const p50 = percentile(total, 50);
  const p99 = percentile(total, 99);
  const alone = timings.map((timing) => timing.totalMs - timing.membersMs);
  return {
    figures: {
      grants: timings.length,
      grantsPerSecond: rounded((1000 * result.sent) / result.elapsedMs),
      p50Ms: rounded(p50),
      p90Ms: rounded(percentile(total, 90)),
      p99Ms: rounded(p99),
      maxMs: rounded(percentile(total, 100)),
      withoutMembersP50Ms: rounded(percentile(alone, 50)),
      withoutMembersP99Ms: rounded(percentile(alone, 99)),
      frostSignatureMs: rounded(units.signatureMs),
      loopbackRoundTripMs: rounded(units.roundTripMs, 3),
      p50InFrostSignatures: rounded(p50 / units.signatureMs),
      p50InLoopbackRoundTrips: rounded(p50 / units.roundTripMs),
      ...parts(timings),
      cpuMsPerGrant: rounded(cpuMs / result.sent),
      memberCpuMsPerGrant: rounded(sum(memberCpuMs) / memberCpuMs.length / result.sent),
      rssPeakMib: rounded(peakMemoryMib(provider.pid), 1),
    },
    targets: [atMost("p50Ms", p50, 15), atMost("p99Ms", p99, 60)],
    broken:
      result.lost + result.twice > 0 || timings.length !== COUNT
        ? [`of ${COUNT} grants ${result.lost} were lost and ${result.twice} came twice`]
        : [],
  };
}

/** One FROST signature (2 of 3) and one libp2p request to a member, in the provider's process while it has nothing to do. */
async function baseline(
  { ceremony, coalition }: World,
  provider: Worker<ProviderCalls>,
): Promise<{ signatureMs: number; roundTripMs: number }> {
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
      rounded(sum(timings.map((timing) => timing[name])) / timings.length),
    ]),
  );
}
