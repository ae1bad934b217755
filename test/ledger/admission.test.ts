/** What is checked before anything is spent on a grant: one refusal code at a time. */
import { describe, expect, test } from "bun:test";
import { HOUR_MS, MINUTE_MS } from "../../src/base/limits.ts";
import { isRegrantable } from "../../src/coalition/grant.ts";
import { dayOf, EMPTY_BOOKS } from "../../src/ledger/books.ts";
import { admit, grantDeadline } from "../../src/ledger/inbox.ts";
import { begin, type TransitionContext } from "../../src/ledger/transition.ts";
import {
  granted,
  id,
  NOON_MS,
  PRICE_MICROS,
  sampleCaps,
  sampleContext,
  sampleGrant,
} from "./samples.ts";

type Grant = Parameters<typeof sampleGrant>[0];

const spent = (micros: number) => ({
  ...EMPTY_BOOKS,
  spendMicrosByDay: new Map([[dayOf(NOON_MS), micros]]),
});
const caps = (changes: Partial<typeof sampleCaps>) => ({ caps: { ...sampleCaps, ...changes } });
const TEN_MINUTES = 10 * MINUTE_MS; // the sample grant's life, and its worst case in micros

const REFUSALS: readonly (readonly [
  why: string,
  code: string,
  changes: Partial<TransitionContext>,
  grant?: Grant,
])[] = [
  ["the provider drains", "draining", { standing: "draining" }],
  ["it has retired", "draining", { standing: "retired" }],
  ["a newer instance runs", "draining", { standing: "fenced" }],
  ["the kill switch is on", "unavailable", caps({ killSwitch: true })],
  ["another committee epoch, older", "superseded", {}, { committeeEpoch: 2 }],
  ["another committee epoch, newer", "superseded", { committeeEpoch: 2 }],
  ["its last tick has passed", "expired", { nowTick: 701 }],
  ["its wall-clock bound has passed", "expired", {}, { notAfterMs: NOON_MS }],
  ["too little life by the wall clock", "too-short", {}, { notAfterMs: NOON_MS + MINUTE_MS - 1 }],
  ["too little life by ticks", "too-short", { nowTick: 641 }],
  ["too little life under our own longest duration", "too-short", caps({ durationMaxMs: 1 })],
  ["an offer we never made", "offer-not-ours", { priceOf: () => undefined }],
  ["a price below the offer's", "price-not-ours", { priceOf: () => PRICE_MICROS + 1 }],
  ["a price above the offer's", "price-not-ours", { priceOf: () => PRICE_MICROS - 1 }],
  ["as many grants as allowed", "busy", { books: { ...EMPTY_BOOKS, active: 4 } }],
  [
    "a worst case above the cap per grant",
    "above-cap",
    caps({ spendPerGrantMicros: TEN_MINUTES - 1 }),
  ],
  [
    "the day's money is used up",
    "busy",
    { ...caps({ spendPerDayMicros: 2 * TEN_MINUTES }), books: spent(TEN_MINUTES + 1) },
  ],
];

describe("a grant is refused", () => {
  for (const [why, code, changes, grant = {}] of REFUSALS) {
    test(`when ${why}: ${code}`, () => {
      expect(admit(sampleGrant(grant), sampleContext(changes))).toMatchObject({
        admitted: false,
        code,
      });
      const state = begin(granted(sampleGrant(grant)), sampleContext(changes));
      expect(state).toMatchObject({
        state: "refused",
        code,
        announced: false,
        spend: { micros: 0 },
      });
    });
  }

  test("with a code that lets another provider try exactly when another could do better", () => {
    const tryElsewhere = REFUSALS.filter(([, code]) => isRegrantable(code as never)).map(
      ([why]) => why,
    );
    expect(tryElsewhere).toEqual([
      "the provider drains",
      "it has retired",
      "a newer instance runs",
      "the kill switch is on",
      "as many grants as allowed",
      "the day's money is used up",
    ]);
  });

  test("for the first reason in the order of the checks, whatever else is wrong", () => {
    const everything = sampleContext({
      standing: "draining",
      nowTick: 9999,
      priceOf: () => undefined,
      ...caps({ killSwitch: true, grantsMax: 0 }),
    });
    expect(admit(sampleGrant(), everything)).toMatchObject({ code: "draining" });
  });
});

describe("a grant is admitted", () => {
  test("with its worst case reserved on the day it was seen", () => {
    const state = begin(granted(), sampleContext());
    expect(state).toMatchObject({
      state: "received",
      recovering: false,
      seenMs: NOON_MS,
      deadlineMs: NOON_MS + TEN_MINUTES,
      spend: { day: dayOf(NOON_MS), micros: TEN_MINUTES },
    });
  });

  test("at exactly each bound", () => {
    const atBounds = sampleContext({
      ...caps({
        spendPerGrantMicros: TEN_MINUTES,
        spendPerDayMicros: 2 * TEN_MINUTES,
        remainingLifeMinMs: TEN_MINUTES,
        durationMaxMs: TEN_MINUTES,
      }),
      books: { ...spent(TEN_MINUTES), active: 3 },
    });
    expect(admit(sampleGrant(), atBounds).admitted).toBe(true);
  });

  test("yesterday's money does not count today", () => {
    const books = {
      ...EMPTY_BOOKS,
      spendMicrosByDay: new Map([[dayOf(NOON_MS) - 1, Number.MAX_SAFE_INTEGER]]),
    };
    expect(admit(sampleGrant(), sampleContext({ books })).admitted).toBe(true);
  });

  test("the offer's price is looked up under the offer's own id", () => {
    const prices = new Map([[id(3)[0], PRICE_MICROS]]);
    const priceOf = (offer: Uint8Array) => prices.get(offer[0]);
    expect(admit(sampleGrant(), sampleContext({ priceOf })).admitted).toBe(true);
    expect(admit(sampleGrant({ offerId: id(8) }), sampleContext({ priceOf }))).toMatchObject({
      code: "offer-not-ours",
    });
  });
});

describe("the deadline is the earliest of", () => {
  const context = sampleContext(caps({ durationMaxMs: HOUR_MS }));
  const cases: readonly (readonly [string, Grant, number])[] = [
    ["the wall-clock bound", { notAfterMs: NOON_MS + 5, validToTick: 10_000 }, 5],
    ["the ticks that are left", { notAfterMs: NOON_MS + HOUR_MS, validToTick: 107 }, 7000],
    [
      "our own longest duration",
      { notAfterMs: NOON_MS + 9 * HOUR_MS, validToTick: 99_999 },
      HOUR_MS,
    ],
    ["nothing, for ticks that have passed", { notAfterMs: NOON_MS + 5, validToTick: 3 }, 0],
  ];
  for (const [what, grant, afterMs] of cases) {
    test(what, () => expect(grantDeadline(sampleGrant(grant), context)).toBe(NOON_MS + afterMs));
  }
});
