import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { jitter, systemClock } from "../../src/base/clock.ts";

describe("sleep", () => {
  test("lasts at least as long as asked", async () => {
    const before = systemClock.monotonicMs();
    await systemClock.sleep(30);
    expect(systemClock.monotonicMs() - before).toBeGreaterThanOrEqual(29);
  });

  test("an abort ends it early and never rejects", async () => {
    const controller = new AbortController();
    const sleeping = systemClock.sleep(3_600_000, controller.signal);
    controller.abort(new Error("stop"));
    expect(await sleeping).toBeUndefined();
  });

  test("an aborted signal ends it at once", async () => {
    expect(await systemClock.sleep(3_600_000, AbortSignal.abort())).toBeUndefined();
  });

  test("delays that a timer cannot hold do not fire at once", async () => {
    // setTimeout(f, 2**31) would fire after 1 ms.
    const controller = new AbortController();
    let ended = false;
    const sleeping = systemClock.sleep(2 ** 31, controller.signal).then(() => {
      ended = true;
    });
    await systemClock.sleep(30);
    expect(ended).toBe(false);
    controller.abort();
    await sleeping;
  });

  test("a negative delay is no delay", async () => {
    expect(await systemClock.sleep(-5)).toBeUndefined();
  });

  test("a process that only waits on an aborted sleep ends by itself", () => {
    const source = `import { systemClock } from "${import.meta.dir}/../../src/base/clock.ts";
      const stop = new AbortController(); const nap = systemClock.sleep(3_600_000, stop.signal); stop.abort(); await nap;`;
    expect(Bun.spawnSync([process.execPath, "-e", source], { timeout: 30_000 }).exitCode).toBe(0);
  });
});

test("the monotonic clock never goes back", () => {
  let last = systemClock.monotonicMs();
  for (let i = 0; i < 10_000; i += 1) {
    const now = systemClock.monotonicMs();
    expect(now >= last).toBe(true);
    last = now;
  }
});

test("jitter stays within its share and is not constant", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e9 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (base, share) => {
        const delay = jitter(base, share);
        expect(delay).toBeGreaterThanOrEqual(base * (1 - share) - 1e-6 * base);
        expect(delay).toBeLessThanOrEqual(base * (1 + share) + 1e-6 * base);
      },
    ),
  );
  expect(new Set(Array.from({ length: 50 }, () => jitter(1000))).size).toBeGreaterThan(1);
});
