/** Adopt first, decide second, destroy last: what a sweep may end, and what it must leave alone. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HOUR_MS, MINUTE_MS, ORPHAN_AGE_MS, ORPHAN_SIGHTINGS } from "../../src/base/limits.ts";
import { silentLogger } from "../../src/base/log.ts";
import type { ListedMachine } from "../../src/fleet/backend.ts";
import { createFleet } from "../../src/fleet/fleet.ts";
import { createReconciler, type ReconcilerOptions } from "../../src/fleet/reconcile.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { backendOf, listed } from "./scripted.ts";

const NEVER = new AbortController().signal;

interface Sky {
  readonly clock: FakeClock;
  machines: ListedMachine[];
  complete: boolean;
  /** Names that were asked to end. */
  readonly ended: string[];
  readonly refuseToEnd: Set<string>;
  claim: ReconcilerOptions["claim"];
  sweep(): Promise<string[]>;
  readonly counts: { orphansSeen: number; orphansEnded: number };
}

function skyOf(...machines: ListedMachine[]): Sky {
  const clock = fakeClock();
  const ended: string[] = [];
  const refuseToEnd = new Set<string>();
  const backend = backendOf("a", {
    list: async () => ({ machines: sky.machines, complete: sky.complete }),
    async terminate({ name }) {
      if (refuseToEnd.has(name)) throw new Error("the API does not answer");
      ended.push(name);
      return "gone";
    },
  });
  const fleet = createFleet([{ backend, priority: 0 }], clock, silentLogger);
  const reconciler = createReconciler({
    fleet,
    clock,
    log: silentLogger,
    claim: (machine) => sky.claim(machine),
  });
  const sky: Sky = {
    clock,
    machines,
    complete: true,
    ended,
    refuseToEnd,
    claim: () => "unknown",
    counts: reconciler.counts,
    sweep: async () =>
      (await clock.run(reconciler.sweep(NEVER), MINUTE_MS)).map(({ name }) => name),
  };
  return sky;
}

/** Old enough from the first sweep on. */
const old = (name: string, changes: Partial<ListedMachine> = {}): ListedMachine =>
  listed(name, { createdMs: 0, ...changes });

async function sweeps(sky: Sky, count: number): Promise<string[][]> {
  const found: string[][] = [];
  for (let i = 0; i < count; i += 1) found.push(await sky.sweep());
  return found;
}

describe("an orphan", () => {
  test("is ended when nobody has claimed it in so many sweeps, and not before", async () => {
    const sky = skyOf(old("m"));
    expect(await sweeps(sky, ORPHAN_SIGHTINGS)).toEqual([
      ...Array.from({ length: ORPHAN_SIGHTINGS - 1 }, () => []),
      ["m"],
    ]);
    expect(sky.counts).toEqual({ orphansSeen: 1, orphansEnded: 1 });
  });

  test("dated in the future by a clock set back is old once we have seen it long enough", async () => {
    const sky = skyOf();
    sky.machines = [listed("m", { createdMs: sky.clock.nowMs() + 5 * HOUR_MS })];
    await sweeps(sky, 10);
    expect(sky.ended).toEqual([]);
    await sky.clock.advance(ORPHAN_AGE_MS);
    expect((await sweeps(sky, ORPHAN_SIGHTINGS)).flat()).toEqual(["m"]);
  });

  test("that will not end is asked again in every sweep, and keeps no other waiting", async () => {
    const sky = skyOf(old("stuck"), old("m"));
    sky.refuseToEnd.add("stuck");
    await sweeps(sky, ORPHAN_SIGHTINGS);
    expect(sky.ended).toEqual(["m"]);
    sky.refuseToEnd.clear();
    expect(await sky.sweep()).toContain("stuck");
  });
});

describe("left alone", () => {
  test("what a live grant claims, for ever", async () => {
    const sky = skyOf(old("m"));
    sky.claim = () => "claimed";
    await sweeps(sky, 10);
    expect(sky.ended).toEqual([]);
    expect(sky.counts.orphansSeen).toBe(0);
  });

  test("what is claimed between two sightings: the count begins anew", async () => {
    const sky = skyOf(old("m"));
    await sweeps(sky, ORPHAN_SIGHTINGS - 1);
    sky.claim = () => "claimed";
    await sky.sweep();
    sky.claim = () => "unknown";
    expect((await sweeps(sky, ORPHAN_SIGHTINGS - 1)).flat()).toEqual([]);
    expect(await sky.sweep()).toEqual(["m"]);
  });

  test("what is younger than a create call may take", async () => {
    const sky = skyOf();
    sky.machines = [listed("m", { createdMs: sky.clock.nowMs() })];
    await sweeps(sky, 10);
    expect(sky.ended).toEqual([]);
    await sky.clock.advance(ORPHAN_AGE_MS);
    expect((await sweeps(sky, ORPHAN_SIGHTINGS)).flat()).toEqual(["m"]);
  });

  test("what is ending already", async () => {
    const sky = skyOf(old("m", { state: "ending" }));
    await sweeps(sky, 10);
    expect(sky.ended).toEqual([]);
  });

  test("what a partial listing does not show is unknown, not absent: its sightings stand", async () => {
    const sky = skyOf(old("m"));
    await sweeps(sky, ORPHAN_SIGHTINGS - 1);
    const { machines } = sky;
    sky.machines = [];
    sky.complete = false;
    await sweeps(sky, 3);
    sky.machines = machines;
    expect(await sky.sweep()).toEqual(["m"]);
  });

  test("what a complete listing does not show is forgotten", async () => {
    const sky = skyOf(old("m"));
    await sweeps(sky, ORPHAN_SIGHTINGS - 1);
    const { machines } = sky;
    sky.machines = [];
    await sky.sweep();
    sky.machines = machines;
    expect((await sweeps(sky, ORPHAN_SIGHTINGS - 1)).flat()).toEqual([]);
  });

  test("a listing that fails as a whole ends nothing", async () => {
    const sky = skyOf(old("m"));
    sky.machines = undefined as never; // what a broken answer looks like
    await sky.sweep().catch(() => {});
    expect(sky.ended).toEqual([]);
  });
});

test("the cloud is listed before the claims are read: a machine started meanwhile is no orphan", async () => {
  const claims: string[] = [];
  const sky = skyOf(old("m"));
  sky.claim = ({ name }) => {
    claims.push(name);
    return "claimed";
  };
  await sky.sweep();
  expect(claims).toEqual(["m"]);
});

test("whatever is listed and claimed: nothing is ended that was claimed in one of the last sweeps", async () => {
  const look = fc.record({
    listed: fc.subarray(["a", "b", "c"]),
    claimed: fc.subarray(["a", "b", "c"]),
    complete: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(look, { maxLength: 12 }), async (looks) => {
      const sky = skyOf();
      const free = new Map<string, number>();
      for (const { listed: names, claimed, complete } of looks) {
        sky.machines = names.map((name) => old(name));
        sky.complete = complete;
        sky.claim = ({ name }) => (claimed.includes(name) ? "claimed" : "unknown");
        for (const name of ["a", "b", "c"]) {
          if (names.includes(name) && !claimed.includes(name))
            free.set(name, (free.get(name) ?? 0) + 1);
          else if (names.includes(name) || complete) free.delete(name);
        }
        const before = sky.ended.length;
        await sky.sweep();
        for (const name of sky.ended.slice(before)) {
          expect(names).toContain(name);
          expect(claimed).not.toContain(name);
          expect(free.get(name) ?? 0).toBeGreaterThanOrEqual(ORPHAN_SIGHTINGS);
        }
      }
    }),
    { numRuns: 300 },
  );
});
