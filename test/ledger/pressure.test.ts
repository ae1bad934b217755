/** The writer and its workers when everything hangs, stops, or cannot be written. */
import { describe, expect, test } from "bun:test";
import { EXTERNAL_EVENTS_MAX, MINUTE_MS, WORKER_STOP_MS } from "../../src/base/limits.ts";
import type { GrantEvent } from "../../src/ledger/events.ts";
import { grantOf, keyOf, neverReturns, offer, type Script, SMOOTH, startRig } from "./rig.ts";
import { measured, sampleCaps, up } from "./samples.ts";

const ended: Script = {
  ...SMOOTH,
  watch: async () => ({ type: "exited", cause: "ended", usage: measured(5) }),
};

describe("the writer and the workers", () => {
  test("with every worker hung the writer goes on", async () => {
    const rig = startRig({
      script: { open: neverReturns },
      context: { caps: { ...sampleCaps, grantsMax: 1000 } },
    });
    for (let n = 0; n < 600; n += 1) {
      offer(rig, n);
      if (n % 100 === 99) await rig.clock.settle();
    }
    await rig.clock.settle();
    expect(rig.ledger.books().active).toBe(600);
    expect(rig.trace.filter((line) => line.startsWith("start")).length).toBeLessThan(600); // lanes are bounded
    for (let n = 0; n < 600; n += 1) rig.ledger.offer(keyOf(n), { type: "deadline" });
    await rig.clock.settle();
    expect(rig.ledger.books().active).toBe(0);
    await rig.clock.run(rig.ledger.stop(), 2 * WORKER_STOP_MS);
  });

  test("a full queue refuses what comes from outside, and every report still finds its place", async () => {
    let report = (_event: GrantEvent): void => {};
    const rig = startRig({
      script: {
        ...SMOOTH,
        create: () =>
          new Promise((resolve) => {
            report = resolve;
          }),
      },
    });
    const key = offer(rig);
    await rig.clock.until(() => rig.ledger.get(key)?.state === "provisioning", MINUTE_MS);
    rig.broken = true; // the writer stands still, so the queue fills
    offer(rig, 2);
    await rig.clock.settle();
    let taken = 0;
    while (rig.ledger.offer(key, { type: "sampled", usage: measured(1) })) taken += 1;
    expect(taken).toBeLessThanOrEqual(EXTERNAL_EVENTS_MAX);
    expect(taken).toBeGreaterThan(EXTERNAL_EVENTS_MAX / 2);
    report(up());
    await rig.clock.advance(5000);
    expect(rig.ledger.get(key)?.state).toBe("provisioning");
    rig.broken = false;
    await rig.clock.until(() => rig.ledger.get(key)?.state === "delivered", MINUTE_MS);
  });

  test("progress a worker emits into a full queue is dropped, and its final report is not", async () => {
    let finish = (): void => {};
    const rig = startRig({
      script: {
        ...SMOOTH,
        watch: (_state, emit) =>
          new Promise((resolve) => {
            finish = () => {
              for (let n = 0; n < 20_000; n += 1) emit({ type: "sampled", usage: measured(n) });
              resolve({ type: "exited", cause: "ended", usage: measured(77) });
            };
          }),
      },
    });
    const key = offer(rig);
    await rig.clock.until(() => rig.ledger.get(key)?.state === "delivered", MINUTE_MS);
    rig.broken = true;
    offer(rig, 2);
    await rig.clock.settle();
    finish();
    await rig.clock.settle();
    rig.broken = false;
    await rig.clock.until(() => rig.ledger.get(key)?.state === "closed", MINUTE_MS);
    const rows = rig.journal.history(key).filter((row) => row.event === "sampled").length;
    expect(rows).toBeLessThan(20_000);
  });

  test("events of one grant are applied in the order they came", async () => {
    const seen: number[] = [];
    const rig = startRig({ script: SMOOTH });
    const key = offer(rig);
    await rig.clock.until(() => rig.ledger.get(key)?.state === "delivered", MINUTE_MS);
    rig.ledger.onChange(({ after, event }) => {
      if (event === "sampled" && "usage" in after) seen.push(after.usage.cpuCoreMs);
    });
    for (let n = 1; n <= 500; n += 1)
      rig.ledger.offer(key, { type: "sampled", usage: measured(n) });
    await rig.clock.settle();
    expect(seen).toEqual(Array.from({ length: 500 }, (_, i) => i + 1));
  });
});

describe("stopping", () => {
  test("is bounded although a worker heeds nothing, and the work is done again afterwards", async () => {
    const rig = startRig({ script: { ...SMOOTH, create: neverReturns } });
    const key = offer(rig);
    await rig.clock.until(() => rig.ledger.get(key)?.state === "provisioning", MINUTE_MS);
    const before = rig.clock.monotonicMs();
    await rig.clock.run(rig.ledger.stop(), MINUTE_MS);
    expect(rig.clock.monotonicMs() - before).toBeLessThanOrEqual(WORKER_STOP_MS);
    const next = startRig({ script: SMOOTH, journal: rig.journal, clock: rig.clock });
    await next.clock.until(() => next.ledger.get(key)?.state === "delivered", MINUTE_MS);
    expect(next.trace.filter((line) => line === `start ${key}/create/0`).length).toBe(1);
    expect(next.trace.some((line) => line.includes("/open/"))).toBe(false);
  });

  test("at once when every worker heeds the abort, and nothing starts any more", async () => {
    const rig = startRig({ script: { open: SMOOTH.open } });
    offer(rig);
    await rig.clock.settle();
    const before = rig.clock.monotonicMs();
    await rig.clock.run(rig.ledger.stop(), MINUTE_MS);
    expect(rig.clock.monotonicMs()).toBe(before);
    const starts = rig.trace.length;
    expect(rig.ledger.offer(keyOf(9), grantOf(9))).toBe(false);
    await rig.clock.advance(MINUTE_MS);
    expect(rig.trace.length).toBe(starts);
  });

  test("is bounded while the journal cannot be written, too", async () => {
    const rig = startRig({ script: SMOOTH });
    const key = offer(rig);
    await rig.clock.until(() => rig.ledger.get(key)?.state === "delivered", MINUTE_MS);
    rig.broken = true;
    rig.ledger.offer(key, { type: "acked" });
    await rig.clock.advance(5000);
    await rig.clock.run(rig.ledger.stop(), 10_000);
    const next = startRig({ script: SMOOTH, journal: rig.journal, clock: rig.clock });
    expect(next.ledger.get(key)).toMatchObject({ state: "delivered", acked: false });
  });

  test("books and totals after a restart are those before it", async () => {
    const rig = startRig({ script: { ...ended, repost: async () => undefined } });
    for (let n = 0; n < 3; n += 1) offer(rig, n);
    await rig.clock.until(
      () => [...rig.ledger.live()].length === 0 && rig.trace.length > 3,
      MINUTE_MS,
    );
    const half = startRig({ script: SMOOTH, journal: rig.journal, clock: rig.clock });
    offer(half, 7);
    await half.clock.until(() => half.ledger.get(keyOf(7))?.state === "delivered", MINUTE_MS);
    const again = startRig({ script: SMOOTH, journal: rig.journal, clock: rig.clock });
    expect(again.ledger.books()).toEqual(half.ledger.books());
    expect(new Map(again.ledger.totals())).toEqual(new Map(half.ledger.totals()));
    expect(again.ledger.totals().get("grants:completed")).toBe(3);
  });
});

describe("a journal that cannot be written", () => {
  test("stops new grants with one alarm and loses nothing", async () => {
    const rig = startRig({ script: SMOOTH });
    const key = offer(rig);
    await rig.clock.until(() => rig.ledger.get(key)?.state === "delivered", MINUTE_MS);
    rig.broken = true;
    rig.ledger.offer(key, { type: "acked" });
    await rig.clock.settle();
    expect(rig.ledger.fault()?.code).toBe("journal-unwritable");
    expect(rig.ledger.offer(keyOf(2), grantOf(2))).toBe(false);
    expect(rig.ledger.offer(key, { type: "end", detail: "" })).toBe(true);
    await rig.clock.advance(10 * MINUTE_MS);
    expect(rig.logged.filter((event) => event === "journal-unwritable").length).toBe(1);
    expect(rig.ledger.get(key)).toMatchObject({ state: "delivered", acked: false });
    rig.broken = false;
    await rig.clock.advance(2000);
    expect(rig.ledger.fault()).toBeUndefined();
    expect(rig.logged).toContain("journal-recovered");
    await rig.clock.until(() => rig.journal.get(key)?.state === "closed", MINUTE_MS);
    expect(rig.ledger.offer(keyOf(2), grantOf(2))).toBe(true);
  });

  test("lets no effect run whose intent is not on disk", async () => {
    const rig = startRig({ script: SMOOTH });
    rig.broken = true;
    offer(rig);
    await rig.clock.advance(10 * MINUTE_MS);
    expect(rig.trace).toEqual([]);
    rig.broken = false;
    await rig.clock.until(() => rig.ledger.get(keyOf(1))?.state === "delivered", MINUTE_MS);
  });
});
