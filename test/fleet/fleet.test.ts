/** One backend that fails, hangs or lies costs its own offers and nothing else. */
import { describe, expect, test } from "bun:test";
import { BridgeError, type ErrorCode } from "../../src/base/errors.ts";
import { BACKEND_ASK_MS, BACKEND_PATIENCE_MS, BREAKER_CAPACITY_MS } from "../../src/base/limits.ts";
import { createLogger } from "../../src/base/log.ts";
import type { Backend, Machine, MachineOrder } from "../../src/fleet/backend.ts";
import { createFleet, type Fleet } from "../../src/fleet/fleet.ts";
import { sampleMachine } from "../ledger/samples.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { backendOf, hangs, listed, offerOf, wanted } from "./scripted.ts";

interface World {
  readonly clock: FakeClock;
  readonly fleet: Fleet;
  readonly warned: string[];
  changes: number;
}

function worldOf(...backends: readonly Backend[]): World {
  const clock = fakeClock();
  const warned: string[] = [];
  const log = createLogger({
    level: "warn",
    format: "json",
    write: (line) => void warned.push((JSON.parse(line) as { event: string }).event),
    nowMs: clock.nowMs,
  });
  const fleet = createFleet(
    backends.map((backend) => ({ backend, priority: 0 })),
    clock,
    log,
  );
  const world = { clock, fleet, warned, changes: 0 };
  fleet.onChange(() => {
    world.changes += 1;
  });
  return world;
}

const NEVER = new AbortController().signal;
const names = (fleet: Fleet): string[] =>
  fleet
    .offers()
    .map(({ backend }) => backend)
    .sort();
const order = {} as MachineOrder;
const place = { ...offerOf(), backend: "a" };

describe("asking for offers", () => {
  test("a failing backend costs its own offers", async () => {
    const bad = backendOf("bad", {
      capabilities: () => Promise.reject(new BridgeError("auth", "no")),
    });
    const { clock, fleet } = worldOf(backendOf("good"), bad);
    await clock.run(fleet.refresh(NEVER), BACKEND_ASK_MS);
    expect(names(fleet)).toEqual(["good"]);
    expect(fleet.health().toSorted((a, b) => a.name.localeCompare(b.name))).toMatchObject([
      { name: "bad", ok: false, error: "auth", lastOkMs: undefined },
      { name: "good", ok: true, lastOkMs: clock.nowMs() },
    ]);
  });

  for (const [how, capabilities] of [
    ["heeds no abort", hangs],
    [
      "heeds the abort",
      (signal: AbortSignal) =>
        new Promise<never>((_, reject) =>
          signal.addEventListener("abort", () => reject(new Error("aborted"))),
        ),
    ],
  ] as const) {
    test(`one that hangs and ${how} keeps nobody waiting, and is unhealthy in the end`, async () => {
      const { clock, fleet } = worldOf(backendOf("good"), backendOf("hung", { capabilities }));
      await clock.run(fleet.refresh(NEVER), BACKEND_PATIENCE_MS);
      expect(names(fleet)).toEqual(["good"]);
      await clock.advance(BACKEND_ASK_MS);
      expect(fleet.health().find(({ name }) => name === "hung")?.ok).toBe(false);
    });
  }

  test("one that is late keeps its old offers meanwhile, is asked once, and its answer is told", async () => {
    const asked: ((offers: ReturnType<typeof offerOf>[]) => void)[] = [];
    const slow = backendOf("slow", {
      capabilities: () => new Promise((answer) => asked.push(answer)),
    });
    const world = worldOf(slow);
    const { clock, fleet } = world;
    const first = fleet.refresh(NEVER);
    asked[0]?.([offerOf()]);
    await clock.run(first, 1);
    expect(world.changes).toBe(1);
    await clock.run(fleet.refresh(NEVER), BACKEND_PATIENCE_MS);
    await clock.run(fleet.refresh(NEVER), BACKEND_PATIENCE_MS);
    expect(asked.length).toBe(2);
    expect(names(fleet)).toEqual(["slow"]);
    asked[1]?.([]);
    await clock.settle();
    expect(names(fleet)).toEqual([]);
    expect(world.changes).toBe(2);
  });

  test("nothing is told when nothing has changed, and a lasting failure is warned of once", async () => {
    const bad = backendOf("bad", { capabilities: () => Promise.reject(new Error("down")) });
    const world = worldOf(backendOf("good"), bad);
    for (let round = 0; round < 4; round += 1)
      await world.clock.run(world.fleet.refresh(NEVER), 5000);
    expect(world.changes).toBe(2); // each backend's first answer
    expect(world.warned).toEqual(["backend-unavailable"]);
  });

  test("a backend that comes back is healthy again", async () => {
    let down = true;
    const flaky = backendOf("a", {
      capabilities: async () => {
        if (down) throw new Error("down");
        return [offerOf()];
      },
    });
    const { clock, fleet } = worldOf(flaky);
    await clock.run(fleet.refresh(NEVER), 5000);
    expect(names(fleet)).toEqual([]);
    down = false;
    await clock.run(fleet.refresh(NEVER), 5000);
    expect(fleet.health()).toMatchObject([{ ok: true, error: undefined }]);
    expect(names(fleet)).toEqual(["a"]);
  });

  test("a stopped provider asks no further and blames nobody", async () => {
    const stop = new AbortController();
    const world = worldOf(backendOf("a", { capabilities: hangs }));
    const asked = world.fleet.refresh(stop.signal);
    stop.abort();
    await world.clock.run(asked, 1);
    await world.clock.advance(BACKEND_ASK_MS);
    expect(world.fleet.health()).toEqual([]);
    expect(world.warned).toEqual([]);
  });
});

describe("starting a machine", () => {
  const failing = (code: ErrorCode) =>
    backendOf("a", { provision: () => Promise.reject(new BridgeError(code, "says the cloud")) });

  test("a stock-out withdraws the offer from card and routes, for a while", async () => {
    const world = worldOf(failing("capacity"), backendOf("b"));
    const { clock, fleet } = world;
    await clock.run(fleet.refresh(NEVER), 5000);
    const before = world.changes;
    await expect(fleet.provision("a", order, place, NEVER)).rejects.toMatchObject({
      code: "capacity",
    });
    expect(world.changes).toBe(before + 1);
    expect(names(fleet)).toEqual(["b"]);
    expect(fleet.route(wanted()).placements.map(({ backend }) => backend)).toEqual(["b"]);
    expect(fleet.blocked()).toMatchObject([{ reason: "capacity: says the cloud" }]);
    await clock.advance(BREAKER_CAPACITY_MS);
    expect(names(fleet)).toEqual(["a", "b"]);
  });

  test("what we gave up ourselves is nobody's failure", async () => {
    const stop = new AbortController();
    stop.abort();
    const { clock, fleet } = worldOf(failing("auth"));
    await clock.run(fleet.refresh(NEVER), 5000);
    await expect(fleet.provision("a", order, place, stop.signal)).rejects.toThrow();
    expect(names(fleet)).toEqual(["a"]);
  });

  test("a backend that is not configured is our own bug, and says what to do", async () => {
    const { fleet } = worldOf();
    await expect(fleet.provision("z", order, place, NEVER)).rejects.toMatchObject({
      code: "bug",
      fix: expect.stringContaining("configuration"),
    });
  });

  test("goes to the named backend and hands its machine over", async () => {
    const machine: Machine = { ...sampleMachine(), backend: "b" };
    const { fleet } = worldOf(failing("bug"), backendOf("b", { provision: async () => machine }));
    expect(await fleet.provision("b", order, place, NEVER)).toBe(machine);
  });
});

describe("listing", () => {
  const full = backendOf("full", {
    list: async () => ({ machines: [listed("m1"), listed("m2")], complete: true }),
  });

  test("is complete when every backend was", async () => {
    const { clock, fleet } = worldOf(full, backendOf("empty"));
    const listing = await clock.run(fleet.list(NEVER), 5000);
    expect(listing.complete).toBe(true);
    expect(listing.machines.map(({ name }) => name)).toEqual(["m1", "m2"]);
  });

  for (const [what, list] of [
    ["fails", () => Promise.reject(new Error("down"))],
    ["hangs", hangs],
    ["answers in part", async () => ({ machines: [], complete: false })],
  ] as const) {
    test(`is partial when one ${what}, and still names the others' machines`, async () => {
      const { clock, fleet } = worldOf(full, backendOf("bad", { list }));
      const listing = await clock.run(fleet.list(NEVER), BACKEND_ASK_MS);
      expect(listing.complete).toBe(false);
      expect(listing.machines.length).toBe(2);
    });
  }
});
