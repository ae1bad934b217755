/** 1,000 grants through one provider that fills up to 64 machines again and again: none lost, none twice, little memory. */
import { randomSeed } from "../../src/base/ed25519.ts";
import type { LoadCalls, LoadResult } from "./load-worker.ts";
import { atMost, type Findings, type Measure } from "./measure.ts";
import { peakMemoryMib, residentMemoryMib } from "./process-figures.ts";
import type { ProviderCalls } from "./provider-worker.ts";
import { rounded } from "./statistics.ts";
import type { Worker } from "./worker.ts";
import { inWorld, type World } from "./world.ts";

const COUNT = 1000;
const MACHINES = 64;
const RSS_MIB_MAX = 300;
/** As many requests as places: one more would be granted, refused as `busy`, and have no other provider to go to. */
const OPEN_MAX = MACHINES;
/** An attempt lasts six ticks; on a machine that others use, a grant must not be given up meanwhile. */
const TICK_MS = 5000;
const WITHIN_MS = 15 * 60_000;
const LOOK_MS = 100;
const STALLED_MS = 30_000;

export const thousand: Measure = {
  name: "thousand",
  title: `${COUNT} grants through one provider, ${MACHINES} machines at once`,
  run: (say) => inWorld((world) => measure(world, say), TICK_MS),
};

async function measure(world: World, say: (line: string) => void): Promise<Findings> {
  const provider = world.worker<ProviderCalls>("provider-worker.ts");
  await provider.call("start", {
    ...{ coalitionFile: world.coalitionFile, folder: world.folder("provider"), name: "thousand" },
    ...{ operatorSeed: randomSeed(), grantsMax: MACHINES, regionClass: "europe" },
    ends: "onCommand",
  });
  const rssStartMib = residentMemoryMib(provider.pid);
  const requesters = world.worker<LoadCalls>("load-worker.ts");
  await requesters.call("join", { coalitionFile: world.coalitionFile });
  const running = requesters.call("run", {
    ...{ regionClass: "any", count: COUNT, perSecond: COUNT, openMax: OPEN_MAX },
    withinMs: WITHIN_MS,
  });
  await watch(provider, requesters, running, say);
  const result = await running;
  const counts = await provider.call("counts");
  const rssPeakMib = peakMemoryMib(provider.pid);
  const heapMib = await provider.call("heapMib");
  return {
    figures: {
      ...{ grants: result.granted, receipts: result.receipts, finalLogs: result.finalLogs },
      ...{ lost: result.lost, twice: result.twice, refused: result.refused },
      refusals: JSON.stringify(result.refusals),
      ...{ machinesCreated: counts.created, machinesAtOnce: counts.peak },
      grantsPerSecond: rounded((1000 * result.granted) / result.elapsedMs),
      rssStartMib: rounded(rssStartMib, 1),
      rssPeakMib: rounded(rssPeakMib, 1),
      heapAfterGcMib: rounded(heapMib, 1),
    },
    targets: [atMost("rssPeakMib", rssPeakMib, RSS_MIB_MAX), atMost("refused", result.refused, 0)],
    broken: faults(result, counts),
  };
}

/**
 * Says how far it is. Whenever all places are taken and every receipt has come, half of the machines end; so they do
 * when nothing has moved for a while, which is no normal course and shows in the result.
 */
async function watch(
  provider: Worker<ProviderCalls>,
  requesters: Worker<LoadCalls>,
  running: Promise<LoadResult>,
  say: (line: string) => void,
): Promise<void> {
  let over = false;
  void running.finally(() => {
    over = true;
  });
  let told = 0;
  let moved = { receipts: 0, atMs: performance.now() };
  while (!over) {
    const { receipts, over: ended } = await requesters.call("progress");
    const { created, machines } = await provider.call("counts");
    if (receipts >= told + COUNT / 10) {
      say(`${receipts} receipts`);
      told = receipts;
    }
    if (receipts > moved.receipts) moved = { receipts, atMs: performance.now() };
    const stalled = performance.now() - moved.atMs > STALLED_MS;
    const full = machines === MACHINES && receipts === created;
    if (ended + machines >= COUNT && receipts === created)
      await provider.call("end", { count: MACHINES });
    else if (full || stalled) await provider.call("end", { count: MACHINES / 2 });
    await Bun.sleep(LOOK_MS);
  }
}

function faults(
  { granted, lost, twice, refused, receipts }: LoadResult,
  counts: Awaited<ReturnType<ProviderCalls["counts"]>>,
): string[] {
  const faults: string[] = [];
  if (granted !== COUNT) faults.push(`of ${COUNT} requests ${granted} were granted`);
  if (lost + twice > 0)
    faults.push(`of ${granted} grants ${lost} were lost and ${twice} were answered twice`);
  if (granted !== receipts + refused) faults.push(`${receipts} receipts and ${refused} refused`);
  if (counts.created !== receipts || counts.createdTwice > 0)
    faults.push(`${counts.created} machines were made, ${counts.createdTwice} grants had two`);
  if (counts.peak !== MACHINES) faults.push(`${counts.peak} machines ran at once`);
  if (counts.live > 0) faults.push(`${counts.live} grants are still open`);
  return faults;
}
