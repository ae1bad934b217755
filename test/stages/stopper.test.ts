/** Drains by hand and drains an earlier run has left, with a real provider and committee on the network in memory. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { toHex } from "../../src/base/bytes.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/base/limits.ts";
import { createLogger } from "../../src/base/log.ts";
import type { Provider } from "../../src/provider.ts";
import type { DrainOrder } from "../../src/stages/standing.ts";
import { createStopper, type Stopper } from "../../src/stages/stopper.ts";
import { compose, send } from "../coalition/stand.ts";
import { type Committee, startCommittee } from "../support/committee.ts";
import { openShop, type Shop } from "./provider-rig.ts";

let of: Committee;
let shop: Shop;
let lines: string[];
beforeEach(async () => {
  of = await startCommittee();
  await of.clock.advance(3 * SECOND_MS);
  lines = [];
  const write = (line: string): void => void lines.push(line);
  const log = createLogger({ level: "warn", format: "json", write, nowMs: of.clock.nowMs });
  shop = openShop(of, { log });
});
afterEach(async () => {
  await shop.close();
  expect(of.network.bugs).toEqual([]);
  await of.close();
});

const WAIT_MS = 5 * MINUTE_MS;

/** A start of the provider, and its stopper as the program makes it. */
async function start(): Promise<{ readonly provider: Provider; readonly stopper: Stopper }> {
  const provider = await shop.start();
  return { provider, stopper: createStopper({ ...provider, ...provider.context }, WAIT_MS) };
}

async function startReady() {
  const started = await start();
  await of.clock.run(started.provider.ready, 30 * SECOND_MS, "the provider");
  return started;
}

/** A run that ends, as by a crash, after it was told to drain. */
async function leaveUnfinished(...orders: readonly DrainOrder[]): Promise<void> {
  const { provider } = await startReady();
  for (const order of orders) provider.standing.drain(order);
  await shop.stop();
}

const events = (): string[] => lines.map((line) => JSON.parse(line).event);
const markerReason = (provider: Provider) =>
  of.member(1).records.markers.get(toHex(provider.context.providerId))?.body.reason;

test("a start after an unfinished drain says so, finishes it, and leaves the marker that was ordered", async () => {
  for (const reason of ["stop", "retire"] as const) {
    await leaveUnfinished({ reason, terminate: false });
    const { provider, stopper } = await start();
    expect(events()).toEqual(["drain-goes-on"]);
    expect(lines[0]).toContain("drain --cancel");
    expect(await of.clock.run(stopper.done, MINUTE_MS, "the drain")).toEqual({
      result: "drained",
      reason,
    });
    expect(markerReason(provider)).toBe(reason);
    expect(provider.standing.unfinishedDrain()).toBeUndefined();
    await shop.stop();
    lines.length = 0;
  }
});

test("once it is finished, the next start serves", async () => {
  await leaveUnfinished({ reason: "stop", terminate: false });
  const { stopper } = await start();
  await of.clock.run(stopper.done, MINUTE_MS, "the drain");
  await shop.stop();
  lines.length = 0;
  const { provider } = await startReady();
  await of.clock.advance(10 * SECOND_MS);
  expect([provider.standing.now(), events()]).toEqual(["serving", []]);
});

/** A run with a live machine that is told to drain and then ends, as by a crash. */
async function leaveWithMachine(order: (stopper: Stopper) => void): Promise<void> {
  const { stopper } = await startReady();
  await of.clock.advance(2 * SECOND_MS);
  send(of, compose(of));
  await of.clock.until(() => shop.states().includes("delivered"), MINUTE_MS, "a machine");
  order(stopper);
  await of.clock.advance(SECOND_MS);
  await shop.stop();
}

test.each(["before", "after"])(
  "taken back %s the coalition is reached, it serves",
  async (when) => {
    await leaveWithMachine((stopper) => stopper.retire({ terminate: true }));
    const { provider, stopper } = await start();
    if (when === "after") {
      await of.clock.run(provider.ready, MINUTE_MS, "the provider");
      await of.clock.advance(10 * SECOND_MS);
    }
    expect(provider.standing.now()).toBe("draining");
    stopper.resume();
    await of.clock.run(provider.ready, MINUTE_MS, "the provider");
    await of.clock.advance(10 * SECOND_MS);
    expect([provider.standing.now(), markerReason(provider)]).toEqual(["serving", undefined]);
    expect([shop.states(), shop.ended]).toEqual([["delivered"], []]);
    await shop.stop();
    lines.length = 0;
    const next = await startReady();
    expect([next.provider.standing.now(), events()]).toEqual(["serving", []]);
  },
);

test("an order that grew is kept whole, and ends a machine at the bound of the next run", async () => {
  await leaveWithMachine((stopper) => {
    stopper.drain({ terminate: false });
    stopper.drain({ terminate: true });
    stopper.retire({ terminate: false });
  });
  const { provider, stopper } = await start();
  expect(provider.standing.unfinishedDrain()).toEqual({ reason: "retire", terminate: true });
  const done = await of.clock.run(stopper.done, WAIT_MS + MINUTE_MS, "the drain");
  expect(done).toEqual({ result: "drained", reason: "retire" });
  expect(shop.ended).not.toEqual([]);
  expect(markerReason(provider)).toBe("retire");
});

test("a provider that reaches too few members names the silent ones", async () => {
  await of.kill(1);
  await of.kill(3);
  const provider = await shop.start();
  await of.clock.advance(MINUTE_MS);
  expect(events()).toEqual(["members-silent"]);
  expect(JSON.parse(lines[0] ?? "").members).toMatch(
    /^member-1 \(\/ip4\/[0-9.]+\/tcp\/\d+\), member-3 \([^)]+\)$/,
  );
  expect(provider.standing.now()).toBe("serving");
});
