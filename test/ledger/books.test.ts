/** The books never drift from the states they sum up, and no sequence of events gets past a cap. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MINUTE_MS } from "../../src/base/limits.ts";
import {
  type Books,
  costMicros,
  DAY_MS,
  dayOf,
  EMPTY_BOOKS,
  rebook,
} from "../../src/ledger/books.ts";
import type { GrantEvent } from "../../src/ledger/events.ts";
import type { Caps } from "../../src/ledger/inbox.ts";
import { type GrantState, isSettled } from "../../src/ledger/state.ts";
import { totalsOf } from "../../src/ledger/totals.ts";
import { begin, transition } from "../../src/ledger/transition.ts";
import {
  anyEvent,
  EVERY_STATE,
  granted,
  id,
  NOON_MS,
  sampleCaps,
  sampleContext,
  sampleGrant,
  stateNamed,
} from "./samples.ts";

/** What the books must say, read off the states one by one. */
function recount(states: Iterable<GrantState>, nowMs: number): Books {
  const sum = { active: 0, pending: 0, cpuMillicores: 0, ramMib: 0 };
  const spendMicrosByDay = new Map<number, number>();
  for (const state of states) {
    const before = spendMicrosByDay.get(state.spend.day) ?? 0;
    if (state.spend.day >= dayOf(nowMs) - 1)
      spendMicrosByDay.set(state.spend.day, before + state.spend.micros);
    if (["received", "resolved", "provisioning"].includes(state.state)) {
      sum.active += 1;
      sum.pending += 1;
    } else if (["running", "delivered", "terminating"].includes(state.state)) {
      sum.active += 1;
      const shape = "placements" in state ? state.placements[state.try]?.shape : undefined;
      sum.cpuMillicores += shape?.cpuMillicores ?? 0;
      sum.ramMib += shape?.ramMib ?? 0;
    }
  }
  return { ...sum, spendMicrosByDay };
}

/** Days without spend and days long gone may stand or not: only what a cap can ask for counts. */
function comparable(books: Books, nowMs: number): object {
  const days = [dayOf(nowMs) - 1, dayOf(nowMs)];
  return { ...books, spendMicrosByDay: days.map((day) => books.spendMicrosByDay.get(day) ?? 0) };
}

interface Step {
  readonly grant: number;
  readonly event: GrantEvent;
  readonly passedMs: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  grant: fc.integer({ min: 1, max: 6 }),
  event: anyEvent,
  passedMs: fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 0, max: MINUTE_MS }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: DAY_MS }) },
  ),
});

/** Plays the steps as the writer does; `look` sees the world after each. */
function play(
  steps: readonly Step[],
  caps: Caps,
  look: (states: ReadonlyMap<number, GrantState>, books: Books, nowMs: number) => void,
): void {
  const states = new Map<number, GrantState>();
  let books: Books = EMPTY_BOOKS;
  let nowMs = NOON_MS;
  for (const { grant, event, passedMs } of steps) {
    nowMs += passedMs;
    const context = sampleContext({ nowMs, books, caps });
    const before = states.get(grant);
    const notAfterMs = nowMs + 10 * MINUTE_MS;
    const after =
      before === undefined
        ? begin(granted(sampleGrant({ requestId: id(grant), notAfterMs })), context)
        : transition(before, event, context);
    books = rebook(books, before, after);
    states.set(grant, after);
    look(states, books, nowMs);
  }
}

describe("books", () => {
  test("kept change by change they equal a recount, over days and days", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        play(steps, sampleCaps, (states, books, nowMs) => {
          expect(comparable(books, nowMs)).toEqual(
            comparable(recount(states.values(), nowMs), nowMs),
          );
        });
      }),
      { numRuns: 400 },
    );
  });

  test("a grant that goes leaves nothing behind, in whatever state it was", () => {
    for (const [, state] of EVERY_STATE) {
      const with_ = rebook(EMPTY_BOOKS, undefined, state);
      expect(rebook(with_, state, undefined)).toEqual(EMPTY_BOOKS);
    }
  });

  test("only the last two days are kept, whichever day a closing grant belongs to", () => {
    const old = stateNamed("delivered");
    const newer = { ...old, spend: { day: old.spend.day + 3, micros: 5 } };
    let books = rebook(EMPTY_BOOKS, undefined, old);
    books = rebook(books, undefined, newer);
    expect([...books.spendMicrosByDay]).toEqual([[newer.spend.day, 5]]);
    books = rebook(books, old, { ...old, spend: { ...old.spend, micros: 1 } });
    expect([...books.spendMicrosByDay]).toEqual([[newer.spend.day, 5]]);
  });

  test("a settled grant is active no more, an unannounced refusal never was", () => {
    for (const [name, state] of EVERY_STATE) {
      const { active } = rebook(EMPTY_BOOKS, undefined, state);
      const holds = /^(received|resolved|provisioning|running|delivered|terminating)/.test(name);
      expect([name, active]).toEqual([name, holds ? 1 : 0]);
    }
  });
});

describe("caps hold over any sequence of events", () => {
  const caps = (grantsMax: number): Caps => ({
    ...sampleCaps,
    grantsMax,
    spendPerDayMicros: 25 * MINUTE_MS, // two and a half grants of ten minutes
    spendPerGrantMicros: 12 * MINUTE_MS,
  });

  function check(grantsMax: number): { byMoney: number; byCount: number } {
    const refused = { byMoney: 0, byCount: 0 };
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        play(steps, caps(grantsMax), (states, books, nowMs) => {
          const seen = recount(states.values(), nowMs);
          expect(seen.active).toBeLessThanOrEqual(grantsMax);
          expect(books.active).toBe(seen.active);
          expect(seen.spendMicrosByDay.get(dayOf(nowMs)) ?? 0).toBeLessThanOrEqual(25 * MINUTE_MS);
          for (const state of states.values()) {
            expect(state.spend.micros).toBeLessThanOrEqual(12 * MINUTE_MS);
            if (state.state !== "refused") continue;
            if (state.detail.includes("day's spending cap")) refused.byMoney += 1;
            if (state.detail.includes("grants are active")) refused.byCount += 1;
          }
        });
      }),
      { numRuns: 400 },
    );
    return refused;
  }

  test("the count", () => expect(check(2).byCount).toBeGreaterThan(0));
  test("the money", () => expect(check(5).byMoney).toBeGreaterThan(0));
});

test("costs are rounded up, and time that runs backwards costs nothing", () => {
  expect(costMicros(1, 0, 1)).toBe(1);
  expect(costMicros(3_600_000, 0, 1500)).toBe(1500);
  expect(costMicros(1000, 10, 5)).toBe(0);
  expect(costMicros(0, 0, DAY_MS)).toBe(0);
});

describe("lifetime totals", () => {
  const total = (events: readonly GrantEvent[], recovered = false): Record<string, number> => {
    const sums = new Map<string, number>();
    let state: GrantState | undefined;
    for (const event of [granted(sampleGrant(), recovered), ...events]) {
      const before = state;
      state =
        before === undefined
          ? begin(granted(sampleGrant(), recovered), sampleContext())
          : transition(before, event, sampleContext());
      for (const [name, amount] of totalsOf(before, state, event))
        sums.set(name, (sums.get(name) ?? 0) + amount);
    }
    return Object.fromEntries(sums);
  };

  test("every grant is seen once and ends in at most one of the outcomes", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(anyEvent, { maxLength: 20 }), (recovered, events) => {
        const sums = total(events, recovered);
        const sum = (...names: string[]): number =>
          names.reduce((all, name) => all + (sums[`grants:${name}`] ?? 0), 0);
        expect(sum("seen")).toBe(1);
        expect(sum("admitted", "recovered")).toBe(1);
        expect(sum("refused", "failed", "completed", "expired")).toBeLessThanOrEqual(1);
        for (const amount of Object.values(sums)) expect(amount).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 800 },
    );
  });

  test("usage and spend are added once, when the grant ends", () => {
    const sums = total([
      { type: "opened", resolution: Reflect.get(stateNamed("resolved"), "resolution") },
      { type: "routed", placements: Reflect.get(stateNamed("running"), "placements"), detail: "" },
      { type: "up", try: 0, machine: Reflect.get(stateNamed("running"), "machine") },
      { type: "posted" },
      { type: "posted" },
      {
        type: "exited",
        cause: "ended",
        usage: { cpuCoreMs: 9, ramMibSeconds: 18, netBytes: null, basis: "measured" },
      },
      { type: "gone" },
      { type: "log-published", seq: 0 },
    ]);
    expect(sums).toEqual({
      "grants:seen": 1,
      "grants:admitted": 1,
      "machines:backend-0": 1,
      receipts: 1,
      "grants:completed": 1,
      "usage:cpuCoreMs": 9,
      "usage:ramMibSeconds": 18,
      "usage:netBytes": 0,
      "spend:micros": 0,
      "spendMicros:backend-0": 0,
      "cpuCoreMs:backend-0": 9,
      "ramMibSeconds:backend-0": 18,
      "netUnknown:backend-0": 1,
    });
  });

  test("settled means settled: nothing is added any more", () => {
    for (const [, state] of EVERY_STATE.filter(([, one]) => isSettled(one))) {
      expect([...totalsOf(state, state, { type: "announced" })]).toEqual([]);
    }
  });
});
