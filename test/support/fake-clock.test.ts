import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { timeoutSignal } from "../../src/base/clock.ts";
import { FAKE_START_MS, fakeClock, seedMathRandom } from "./fake-clock.ts";

describe("the test's clock", () => {
  test("stands still until it is moved", async () => {
    const clock = fakeClock();
    await Bun.sleep(5);
    expect([clock.nowMs(), clock.monotonicMs()]).toEqual([FAKE_START_MS, 0]);
    await clock.advance(250);
    expect([clock.nowMs(), clock.monotonicMs()]).toEqual([FAKE_START_MS + 250, 250]);
  });

  test("fires timers by due time, then by order of creation, at their own time", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(50), { maxLength: 40 }), async (delays) => {
        const clock = fakeClock();
        const fired: [at: number, i: number][] = [];
        delays.forEach((delayMs, i) => {
          void clock.sleep(delayMs).then(() => fired.push([clock.monotonicMs(), i]));
        });
        await clock.advance(50);
        const expected = delays
          .map((delayMs, i): [number, number] => [delayMs, i])
          .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        expect(fired).toEqual(expected);
        expect(clock.pending).toBe(0);
      }),
      { seed: 8, numRuns: 60 },
    );
  });

  test("what a timer sets off comes before the next timer", async () => {
    const clock = fakeClock();
    const seen: string[] = [];
    void clock.sleep(10).then(async () => {
      seen.push("first");
      for (let i = 0; i < 20; i += 1) await Promise.resolve();
      await clock.sleep(0);
      seen.push("its child");
    });
    void clock.sleep(11).then(() => seen.push("second"));
    await clock.advance(20);
    expect(seen).toEqual(["first", "its child", "second"]);
  });

  test("an aborted sleep ends at once and leaves nothing behind", async () => {
    const clock = fakeClock();
    const stop = new AbortController();
    const slept = clock.sleep(1000, stop.signal).then(() => clock.monotonicMs());
    stop.abort();
    expect([await slept, clock.pending]).toEqual([0, 0]);
    expect(await clock.sleep(1000, stop.signal).then(() => clock.pending)).toBe(0);
  });

  test("until stops where the condition holds, and says what did not come", async () => {
    const clock = fakeClock();
    let done = false;
    void clock.sleep(30).then(() => {
      done = true;
    });
    await clock.until(() => done, 1000);
    expect(clock.monotonicMs()).toBe(30);
    await expect(clock.until(() => false, 100, "rain")).rejects.toThrow("rain did not come");
  });

  test("run hands over what a promise brings, or throws what it throws", async () => {
    const clock = fakeClock();
    expect(
      await clock.run(
        clock.sleep(40).then(() => "brought"),
        100,
      ),
    ).toBe("brought");
    const failing = clock.sleep(40).then(() => Promise.reject(new Error("thrown")));
    await expect(clock.run(failing, 100)).rejects.toThrow("thrown");
  });

  test("skewed clocks share the time and differ on the wall", async () => {
    const clock = fakeClock();
    const late = clock.skewed(-5000);
    await clock.advance(100);
    late.shiftMs -= 1000;
    expect([late.nowMs() - clock.nowMs(), late.monotonicMs()]).toEqual([-6000, 100]);
  });

  test("drives the timeouts of the program", async () => {
    const clock = fakeClock();
    const signal = timeoutSignal(clock, 500);
    await clock.advance(499);
    expect(signal.aborted).toBe(false);
    await clock.advance(1);
    expect(signal.aborted).toBe(true);
  });

  test("Math.random can be made repeatable, and given back", () => {
    const original = Math.random;
    const draw = (seed: number): number[] => {
      const restore = seedMathRandom(seed);
      const drawn = [Math.random(), Math.random(), Math.random()];
      restore();
      return drawn;
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(draw(3).every((value) => value >= 0 && value < 1)).toBe(true);
    expect(Math.random).toBe(original);
  });
});
