/** A grant ends at the earliest of its tick, its wall-clock bound and our own estimate; no clock game prolongs it. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HOUR_MS, MINUTE_MS, SECOND_MS } from "../../src/base/limits.ts";
import type { GrantState } from "../../src/ledger/state.ts";
import { createDeadlines } from "../../src/watch/deadline.ts";
import { EVERY_STATE, NOON_MS, stateNamed } from "../ledger/samples.ts";

const LIFE_MS = 10 * MINUTE_MS; // of the sample grant
const LAST_TICK = 700; // likewise

/** A clock of which the test holds both hands. */
function hands(): { nowMs: number; monotonicMs: number } & {
  clock: Parameters<typeof createDeadlines>[0];
} {
  const at = { nowMs: NOON_MS, monotonicMs: 5_000_000 };
  return Object.assign(at, {
    clock: { nowMs: () => at.nowMs, monotonicMs: () => at.monotonicMs, sleep: async () => {} },
  });
}

const delivered = stateNamed("delivered");

describe("a machine is over", () => {
  test("when its wall-clock bound has come, and not a moment before", () => {
    const at = hands();
    const deadlines = createDeadlines(at.clock);
    at.nowMs = NOON_MS + LIFE_MS - 1;
    expect(deadlines.due([delivered], 1)).toEqual([]);
    at.nowMs += 1;
    expect(deadlines.due([delivered], 1)).toEqual([delivered]);
  });

  test("when its last tick has passed, however slow the clocks", () => {
    const deadlines = createDeadlines(hands().clock);
    expect(deadlines.due([delivered], LAST_TICK)).toEqual([]);
    expect(deadlines.due([delivered], LAST_TICK + 1)).toEqual([delivered]);
  });

  test("when ticks stall and the wall clock is set back by hours, at the time it had when first seen", () => {
    const at = hands();
    const deadlines = createDeadlines(at.clock);
    expect(deadlines.due([delivered], 1)).toEqual([]);
    at.nowMs -= 5 * HOUR_MS;
    at.monotonicMs += LIFE_MS - 1;
    expect(deadlines.due([delivered], 1)).toEqual([]);
    at.monotonicMs += 1;
    expect(deadlines.due([delivered], 1)).toEqual([delivered]);
  });

  test("at once when the wall clock jumps ahead of its bound", () => {
    const at = hands();
    const deadlines = createDeadlines(at.clock);
    deadlines.due([delivered], 1);
    at.nowMs += 3 * HOUR_MS;
    expect(deadlines.due([delivered], 1)).toEqual([delivered]);
  });

  test("again and again until it has ended, because a report may be dropped", () => {
    const at = hands();
    const deadlines = createDeadlines(at.clock);
    at.nowMs += LIFE_MS;
    for (let look = 0; look < 3; look += 1) {
      expect(deadlines.due([delivered], 1)).toEqual([delivered]);
    }
  });
});

test("only what a deadline can end is ever over", () => {
  const at = hands();
  at.nowMs += HOUR_MS;
  at.monotonicMs += HOUR_MS;
  const over = EVERY_STATE.filter(
    ([, state]) => createDeadlines(at.clock).due([state], LAST_TICK + 1).length > 0,
  ).map(([, state]) => state.state);
  expect(new Set(over)).toEqual(
    new Set(["received", "resolved", "provisioning", "running", "delivered"]),
  );
});

test("an estimate is kept while the grant lives, and forgotten with it", () => {
  const at = hands();
  const deadlines = createDeadlines(at.clock);
  deadlines.due([delivered], 1);
  deadlines.due([], 1);
  at.nowMs -= 5 * HOUR_MS; // seen anew, it is judged by the clock as it is now
  deadlines.due([delivered], 1);
  at.monotonicMs += LIFE_MS + HOUR_MS;
  expect(deadlines.due([delivered], 1)).toEqual([]);
});

test("whatever the clocks do, no grant outlives the time it had when it was first seen", () => {
  const move = fc.record({
    wallMs: fc.integer({ min: -6 * HOUR_MS, max: MINUTE_MS }),
    elapsedMs: fc.integer({ min: 0, max: 2 * MINUTE_MS }),
    ticks: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(move, { minLength: 10, maxLength: 60 }), (moves) => {
      const at = hands();
      const deadlines = createDeadlines(at.clock);
      const startedMs = at.monotonicMs;
      let tick = 100;
      for (const { wallMs, elapsedMs, ticks } of moves) {
        const over: GrantState[] = deadlines.due([delivered], tick);
        if (at.monotonicMs - startedMs >= LIFE_MS) expect(over).toEqual([delivered]);
        at.nowMs += wallMs + elapsedMs;
        at.monotonicMs += elapsedMs;
        tick += ticks;
      }
    }),
  );
});

test("the sample grant's bounds are what these tests take them for", () => {
  expect(delivered.deadlineMs - NOON_MS).toBe(LIFE_MS);
  expect(delivered.grant.validToTick).toBe(LAST_TICK);
  expect(LIFE_MS / SECOND_MS).toBe(600);
});
