/**
 * Whether a grant costs more once the journal holds 10,000: two providers, one with 10 and one with 10,000 ended grants
 * in its journal, take turns in one run. What is compared is the CPU time of each over its own turns.
 */
import { randomSeed } from "../../src/base/ed25519.ts";
import type { RegionClass } from "../../src/coalition/classes.ts";
import type { LoadCalls } from "./load-worker.ts";
import { atMost, type Findings, type Measure } from "./measure.ts";
import type { ProviderCalls } from "./provider-worker.ts";
import { median, rounded } from "./statistics.ts";
import type { Worker } from "./worker.ts";
import { inWorld, type World } from "./world.ts";

const FEW = 10;
const MANY = 10_000;
const RATIO_MAX = 1.2;
const PER_SECOND = 5;
const TURN_GRANTS = 25;
/** Of each provider; the first is for both to warm up. */
const TURNS = 9;
const WITHIN_MS = 60_000;

interface Side {
  readonly regionClass: RegionClass;
  readonly provider: Worker<ProviderCalls>;
  readonly cpuMsPerGrant: number[];
}

export const journalSize: Measure = {
  name: "journal-size",
  title: `a grant's cost with ${MANY} grants in the journal against ${FEW}`,
  run: (say) => inWorld((world) => measure(world, say)),
};

async function measure(world: World, say: (line: string) => void): Promise<Findings> {
  const few = await startSide(world, "europe", FEW);
  const many = await startSide(world, "asia", MANY);
  const requesters = world.worker<LoadCalls>("load-worker.ts");
  await requesters.call("join", { coalitionFile: world.coalitionFile });
  let lost = 0;
  for (let turn = 0; turn < TURNS; turn += 1) {
    // Who begins changes, so that whatever drifts falls on both.
    for (const side of turn % 2 === 0 ? [few, many] : [many, few]) {
      lost += await takeTurn(side, requesters);
    }
    say(
      `turn ${turn + 1}: ${shown(few, turn)} ms with ${FEW}, ${shown(many, turn)} ms with ${MANY}`,
    );
  }
  const [a, b] = [few, many].map(({ cpuMsPerGrant }) => cpuMsPerGrant.slice(1));
  if (a === undefined || b === undefined) throw new Error("there are two sides");
  const ratios = b.map((ms, i) => ms / (a[i] ?? Number.NaN));
  const ratio = median(b) / median(a);
  return {
    figures: {
      ...{ turns: a.length, grantsPerTurn: TURN_GRANTS },
      [`cpuMsPerGrantWith${FEW}`]: rounded(median(a)),
      [`cpuMsPerGrantWith${MANY}`]: rounded(median(b)),
      ratio: rounded(ratio, 3),
      ratioLeastTurn: rounded(Math.min(...ratios), 3),
      ratioMostTurn: rounded(Math.max(...ratios), 3),
    },
    targets: [atMost("ratio", ratio, RATIO_MAX)],
    broken: lost > 0 ? [`${lost} grants were lost or refused`] : [],
  };
}

async function startSide(
  world: World,
  regionClass: RegionClass,
  journalGrants: number,
): Promise<Side> {
  const provider = world.worker<ProviderCalls>("provider-worker.ts");
  await provider.call("start", {
    ...{ coalitionFile: world.coalitionFile, folder: world.folder(regionClass), journalGrants },
    ...{ name: `journal-${regionClass}`, operatorSeed: randomSeed(), grantsMax: 200, regionClass },
    ends: { afterMs: 500 },
  });
  return { regionClass, provider, cpuMsPerGrant: [] };
}

/** Returns how many grants came to nothing. */
async function takeTurn(
  { provider, regionClass, cpuMsPerGrant }: Side,
  requesters: Worker<LoadCalls>,
): Promise<number> {
  const beforeMs = await provider.call("cpuMs");
  const { lost, refused } = await requesters.call("run", {
    ...{ regionClass, count: TURN_GRANTS, perSecond: PER_SECOND, openMax: TURN_GRANTS },
    withinMs: WITHIN_MS,
  });
  cpuMsPerGrant.push(((await provider.call("cpuMs")) - beforeMs) / TURN_GRANTS);
  return lost + refused;
}

function shown({ cpuMsPerGrant }: Side, turn: number): number {
  return rounded(cpuMsPerGrant[turn] ?? Number.NaN, 1);
}
