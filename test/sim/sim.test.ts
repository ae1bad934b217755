/**
 * The simulator's fixed part: some seeds, every partition around one release, and the proof that it can fail. More seeds:
 * BRIDGE_SIM_RUNS=200, or test/sim/run.ts.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { cellName, cellsOf, runCell } from "./cells.ts";
import { type SimOptions, type SimResult, simulate } from "./simulate.ts";

setDefaultTimeout(300_000); // a run takes two seconds, and many times that on a machine that is busy

const EXTRA = Number(process.env.BRIDGE_SIM_RUNS ?? 0);
const FIRST_EXTRA = 1000; // apart from the fixed ones

const seedsFrom = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => first + i);

/** Nothing breached; else the events that led there. */
function expectSound({ seed, breaches, trace }: SimResult): void {
  if (breaches.length > 0) throw new Error([`seed ${seed}`, ...breaches, ...trace].join("\n"));
}

describe("seeds", () => {
  for (const seed of [...seedsFrom(1, 4), ...seedsFrom(FIRST_EXTRA, EXTRA)]) {
    test(`3 members, seed ${seed}`, async () => {
      const result = await simulate({ seed });
      expectSound(result);
      expect(result.counts.machinesPerRequestMax).toBeLessThanOrEqual(1);
    });
  }

  for (const seed of [...seedsFrom(1, 2), ...seedsFrom(FIRST_EXTRA, EXTRA)]) {
    test(`4 members, one of which lies, seed ${seed}`, async () => {
      expectSound(await simulate({ seed, members: 4, sabotage: "byzantine" }));
    });
  }

  test("without faults every request is served at once", async () => {
    const result = await simulate({ seed: 1, faults: false });
    expectSound(result);
    const { requests, receipts, grants, machines, refusals } = result.counts;
    expect(requests).toBeGreaterThan(2);
    expect({ receipts, grants, machines, refusals }).toEqual({
      receipts: requests,
      grants: requests,
      machines: requests,
      refusals: 0,
    });
  });

  test("a seed is the same run, event for event", async () => {
    const options: SimOptions = { seed: 2, verbose: true };
    const [first, second] = [await simulate(options), await simulate(options)];
    expect(first.trace.length).toBeGreaterThan(50);
    expect(second).toEqual(first);
  });
});

const LOCK_BROKEN = /broke its lock|released attempt \d to two|after its vote/;

/** Members are alike: of those that give a share the last stand for all. test/sim/run.ts --cells has every choice. */
const CELLS = cellsOf(3).filter(({ given }) => given.every((m, i) => m === i + 4 - given.length));

describe("a partition around one release", () => {
  let served = 0;

  test("the cells are all there", () => {
    // 3 members, 8 ways to cut: after the grant; after 1 and 2 shares, with and without a power cut.
    expect(CELLS.length).toBe(8 + 2 * 8 * 2);
    expect(cellsOf(3).length).toBe(8 + (3 + 3) * 8 * 2);
    expect(new Set(cellsOf(4).map(cellName)).size).toBe(16 + (4 + 6 + 4) * 16 * 2);
  });

  test.each(CELLS.map((cell) => [cellName(cell), cell] as const))("%s", async (_, cell) => {
    const result = await runCell(cell, { seed: 1 });
    expectSound(result);
    expect(result.counts.partitions).toBe(1);
    expect(result.counts.machinesPerRequestMax).toBeLessThanOrEqual(1);
    if (result.counts.receipts === 1) served += 1;
  });

  test("and all but a few of them served the request in the end", () => {
    expect(served).toBeGreaterThan(0.9 * CELLS.length);
  });
});

describe("the simulator can fail", () => {
  /** Each of these finds it at once as long as the program does what it does now; if not, one of the next ones will. */
  const VOTE_SEEDS = seedsFrom(9, 20);
  const RELEASE_SEEDS = seedsFrom(16, 20);

  /** What is found first, by whichever of these runs. */
  async function firstBreach(
    runs: readonly (() => Promise<SimResult>)[],
  ): Promise<string | undefined> {
    for (const run of runs) {
      const { breaches } = await run();
      if (breaches[0] !== undefined) return breaches[0];
    }
    return undefined;
  }

  test("some seed finds a ballot that loses its votes with the power", async () => {
    const runs = VOTE_SEEDS.map((seed) => () => simulate({ seed, sabotage: "forgets-votes" }));
    expect(await firstBreach(runs)).toMatch(/voted twice|after its vote/);
  });

  test("some seed finds a ballot without the release lock", async () => {
    const runs = RELEASE_SEEDS.map(
      (seed) => () => simulate({ seed, sabotage: "forgets-releases" }),
    );
    expect(await firstBreach(runs)).toMatch(LOCK_BROKEN);
  });

  test("some cell finds a ballot without the release lock", async () => {
    const runs = CELLS.filter(({ powerCut }) => powerCut).map(
      (cell) => () => runCell(cell, { seed: 1, sabotage: "forgets-releases" }),
    );
    expect(await firstBreach(runs)).toMatch(LOCK_BROKEN);
  });
});
