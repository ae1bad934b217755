/** What a grant costs, its log chain, and grants that are taken back after a lost journal. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LOG_ENTRIES_MAX, LOG_OUTBOX_MAX, MINUTE_MS } from "../../src/base/limits.ts";
import { logHash } from "../../src/coalition/log.ts";
import type { GrantEvent } from "../../src/ledger/events.ts";
import type { GrantState } from "../../src/ledger/state.ts";
import { type TransitionContext, transition } from "../../src/ledger/transition.ts";
import {
  anyEvent,
  createFailed,
  granted,
  id,
  inspected,
  measured,
  NOON_MS,
  PATHS,
  sampleContext,
  sampleGrant,
  stateNamed,
  up,
  walk,
} from "./samples.ts";

const usage = measured(9);
const late: Partial<TransitionContext> = { nowMs: NOON_MS + 11 * MINUTE_MS };
const soon: Partial<TransitionContext> = { nowMs: NOON_MS + MINUTE_MS };

describe("money", () => {
  const cost = (ms: number): number => ms; // at PRICE_MICROS

  test("worst case while open, from now to the deadline", () => {
    for (const name of Object.keys(PATHS).filter(
      (path) => !/^(logged|closed|refused|failed)/.test(path),
    )) {
      expect([name, stateNamed(name).spend.micros]).toEqual([name, cost(10 * MINUTE_MS)]);
    }
  });

  test("a grant that asked nothing of a backend has cost nothing", () => {
    expect(stateNamed("refused").spend.micros).toBe(0);
    const full = transition(
      stateNamed("provisioning, second try"),
      createFailed("capacity", 1),
      sampleContext(soon),
    );
    expect(full.spend.micros).toBe(0);
  });

  test("a machine is billed while it boots, so its cost is counted from the grant on", () => {
    const at = (ms: number) => sampleContext({ nowMs: NOON_MS + ms });
    let state = transition(stateNamed("provisioning"), up(), at(20_000));
    state = transition(state, { type: "posted" }, at(21_000));
    state = transition(state, { type: "exited", cause: "ended", usage }, at(50_000));
    state = transition(state, { type: "gone" }, at(51_000));
    expect(state.state).toBe("logged");
    expect(state.spend.micros).toBe(cost(51_000));
  });

  test("a machine that never answered may have been billed since the grant was taken", () => {
    const at = (ms: number) => sampleContext({ nowMs: NOON_MS + ms });
    let state = transition(stateNamed("provisioning"), createFailed("auth"), at(20_000));
    state = transition(state, { type: "gone" }, at(30_000));
    expect(state).toMatchObject({ state: "failed", code: "unavailable" });
    expect(state.spend.micros).toBe(cost(30_000));
  });

  test("an actual never exceeds the reservation", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyEvent, fc.integer({ min: 0, max: 5 * MINUTE_MS })), { maxLength: 14 }),
        (steps) => {
          let nowMs = NOON_MS;
          let state = walk([granted()]);
          const reserved = state.spend.micros;
          for (const [event, passedMs] of steps) {
            nowMs += passedMs;
            state = transition(state, event, sampleContext({ nowMs }));
            // What an earlier instance spent before the journal was lost is not in this reservation.
            if (event.type === "inspected" && event.sinceMs !== undefined) return;
            expect(state.spend.micros).toBeLessThanOrEqual(reserved);
            expect(state.spend.day).toBe(walk([granted()]).spend.day);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("the log chain", () => {
  const sample = (n: number): GrantEvent => ({ type: "sampled", usage: measured(n) });
  const minute = (n: number) => sampleContext({ nowMs: NOON_MS + n * MINUTE_MS });

  test("an interim entry comes when the interval has passed, and not before", () => {
    let state = stateNamed("delivered");
    state = transition(state, sample(1), minute(1));
    expect(state.chain.outbox).toEqual([]);
    state = transition(state, sample(2), minute(2));
    state = transition(state, sample(3), minute(3));
    expect(state.chain.outbox).toMatchObject([{ seq: 0, status: "interim", usage: measured(2) }]);
  });

  test("entries are linked, and the final one carries the last usage", () => {
    let state = stateNamed("delivered");
    for (let n = 1; n <= 3; n += 1) state = transition(state, sample(n), minute(2 * n));
    state = transition(state, { type: "exited", cause: "ended", usage: measured(50) }, minute(7));
    state = transition(state, { type: "gone" }, minute(7));
    const chain = state.chain.outbox;
    expect(chain.map((entry) => [entry.seq, entry.status])).toEqual([
      [0, "interim"],
      [1, "interim"],
      [2, "interim"],
      [3, "completed"],
    ]);
    for (const [i, entry] of chain.entries()) {
      const before = chain[i - 1];
      expect(entry.previous).toEqual(before === undefined ? id(0) : logHash({ v: 1, ...before }));
    }
    expect(chain.at(-1)?.usage).toEqual(measured(50));
  });

  test("a full outbox leaves interim entries out and never the final one", () => {
    let state = stateNamed("delivered");
    for (let n = 1; n <= LOG_OUTBOX_MAX + 5; n += 1)
      state = transition(state, sample(n), minute(2 * n));
    expect(state.chain.outbox.length).toBe(LOG_OUTBOX_MAX);
    state = transition(state, { type: "exited", cause: "ended", usage }, minute(60));
    state = transition(state, { type: "gone" }, minute(60));
    expect(state.chain.outbox.length).toBe(LOG_OUTBOX_MAX + 1);
    expect(state.chain.outbox.at(-1)?.status).toBe("completed");
  });

  test("the last number a chain can have is kept for the final entry", () => {
    const fresh = stateNamed("delivered");
    let state: GrantState = { ...fresh, chain: { ...fresh.chain, nextSeq: LOG_ENTRIES_MAX - 1 } };
    state = transition(state, sample(1), minute(5));
    expect(state.chain.outbox).toEqual([]);
    state = transition(state, { type: "deadline" }, minute(6));
    state = transition(state, { type: "gone" }, minute(6));
    expect(state.chain.outbox).toMatchObject([{ seq: LOG_ENTRIES_MAX - 1, status: "expired" }]);
  });

  test("what is published is dropped, with everything before it", () => {
    let state = stateNamed("delivered");
    for (let n = 1; n <= 4; n += 1) state = transition(state, sample(n), minute(2 * n));
    state = transition(state, { type: "log-published", seq: 1 }, minute(9));
    expect(state.chain.outbox.map((entry) => entry.seq)).toEqual([2, 3]);
    const again = transition(state, { type: "log-published", seq: 1 }, minute(9));
    expect(again).toBe(state);
  });

  test("after a lost journal the chain goes on from the head the network shows", () => {
    const state = transition(
      stateNamed("resolved, recovering"),
      inspected({ receiptPosted: true, chain: { nextSeq: 7, head: id(77), closed: false } }),
      sampleContext(),
    );
    const logged = transition(state, { type: "gone" }, sampleContext());
    expect(logged.chain.outbox).toMatchObject([{ seq: 7, previous: id(77), status: "failed" }]);
  });
});

describe("recovered grants", () => {
  test("are taken although every check would refuse them", () => {
    const hostile = sampleContext({
      standing: "draining",
      nowMs: NOON_MS + 11 * MINUTE_MS,
      nowTick: 9999,
      committeeEpoch: 2,
      priceOf: () => undefined,
      caps: { ...sampleContext().caps, grantsMax: 0, spendPerDayMicros: 0, killSwitch: true },
    });
    expect(walk([granted(sampleGrant(), true)], hostile)).toMatchObject({
      state: "received",
      recovering: true,
    });
    expect(walk([granted(sampleGrant(), false)], hostile)).toMatchObject({
      state: "refused",
      code: "draining",
    });
  });

  test("neither deadline nor operator ends one before its machine was looked for", () => {
    for (const name of ["received, recovering", "resolved, recovering"]) {
      for (const event of [{ type: "deadline" }, { type: "end", detail: "" }] as const) {
        const state = stateNamed(name);
        expect(transition(state, event, sampleContext(late))).toBe(state);
      }
    }
  });

  test("an adopted machine is paid for since it was created", () => {
    let state = stateNamed("delivered, adopted");
    state = transition(state, { type: "deadline" }, sampleContext());
    state = transition(state, { type: "gone" }, sampleContext());
    expect(state.spend.micros).toBe(MINUTE_MS);
  });
});
