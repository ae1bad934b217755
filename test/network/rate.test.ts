/** Token buckets: bursts, steady rates, and a bound on how many peers are remembered. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { RATE_PEERS_MAX } from "../../src/base/limits.ts";
import { rateLimit } from "../../src/network/rate.ts";
import { fakeClock } from "../support/fake-clock.ts";

function takes(limit: ReturnType<typeof rateLimit>, peer: string, times: number): number {
  return Array.from({ length: times }, () => limit.take(peer, 1)).filter(Boolean).length;
}

describe("a rate limit", () => {
  test("lets a burst through, then the steady rate", async () => {
    const clock = fakeClock();
    const limit = rateLimit(10, 50, clock);
    expect(takes(limit, "a", 100)).toBe(50);
    await clock.advance(1000);
    expect(takes(limit, "a", 100)).toBe(10);
  });

  test("keeps peers apart", () => {
    const limit = rateLimit(1, 3, fakeClock());
    expect([takes(limit, "a", 9), takes(limit, "b", 9)]).toEqual([3, 3]);
  });

  test("a refused cost takes nothing", () => {
    const limit = rateLimit(1, 10, fakeClock());
    expect([limit.take("a", 11), limit.take("a", 10)]).toEqual([false, true]);
  });

  test("over any time no peer takes more than burst plus rate times time", async () => {
    const step = fc.record({ waitMs: fc.nat(2000), cost: fc.integer({ min: 1, max: 30 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const clock = fakeClock();
        const limit = rateLimit(5, 40, clock);
        let taken = 0;
        for (const { waitMs, cost } of steps) {
          await clock.advance(waitMs);
          if (limit.take("a", cost)) taken += cost;
          expect(taken).toBeLessThanOrEqual(40 + (5 * clock.monotonicMs()) / 1000 + 1e-6);
        }
      }),
      { seed: 5, numRuns: 40 },
    );
  });

  test("remembers a bounded number of peers, and the busy ones longest", () => {
    const limit = rateLimit(0, 1, fakeClock());
    expect(limit.take("busy", 1)).toBe(true);
    for (let i = 0; i < 2 * RATE_PEERS_MAX; i += 1) {
      limit.take(`stranger ${i}`, 1);
      if (i % 100 === 0) expect(limit.take("busy", 1)).toBe(false);
    }
    // The first strangers are forgotten: they start anew, as any new identity may.
    expect(limit.take("stranger 0", 1)).toBe(true);
    expect(limit.take("busy", 1)).toBe(false);
  });
});
