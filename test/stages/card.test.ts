/** What stands on the card: nothing that the caps would refuse. */
import { describe, expect, test } from "bun:test";
import { HOUR_MS } from "../../src/base/limits.ts";
import { DURATION_MIN_MS } from "../../src/coalition/classes.ts";
import { EMPTY_BOOKS } from "../../src/ledger/books.ts";
import { type CardLimits, cardOffers } from "../../src/stages/card.ts";
import { routedOffer } from "../fleet/scripted.ts";
import { sampleCaps } from "../ledger/samples.ts";

const PRICE = 3_600_000;
const DAY = 20_000;
const shortest = (PRICE * DURATION_MIN_MS) / HOUR_MS;

const limits = (change: Partial<CardLimits> = {}): CardLimits => ({
  caps: sampleCaps,
  books: EMPTY_BOOKS,
  slackMs: 0,
  today: DAY,
  ...change,
});
const free = (change: Partial<CardLimits>): number | undefined =>
  cardOffers([routedOffer("a", { pricePerHourMicros: PRICE, free: 9 })], limits(change))[0]?.free;

describe("what is free", () => {
  test("is bounded by the room under the count cap, less what is reserved", () => {
    expect(free({})).toBe(sampleCaps.grantsMax);
    expect(free({ books: { ...EMPTY_BOOKS, active: 3 } })).toBe(1);
    expect(free({ books: { ...EMPTY_BOOKS, active: 2, pending: 8 } })).toBe(1);
  });

  test("is bounded by what is left of the day's cap, and that of another day does not count", () => {
    const caps = { ...sampleCaps, spendPerDayMicros: 10 * shortest };
    const spent = (day: number, micros: number) => ({
      caps,
      books: { ...EMPTY_BOOKS, spendMicrosByDay: new Map([[day, micros]]) },
    });
    expect(free(spent(DAY, 8 * shortest))).toBe(2);
    expect(free(spent(DAY, 10 * shortest - 1))).toBe(0);
    expect(free(spent(DAY, 11 * shortest))).toBe(0);
    expect(free(spent(DAY - 1, 11 * shortest))).toBe(sampleCaps.grantsMax);
  });

  test("is not bounded by money when the machine costs nothing", () => {
    const gratis = [routedOffer("a", { pricePerHourMicros: 0, free: 2 })];
    const caps = { ...sampleCaps, spendPerDayMicros: 0 };
    expect(cardOffers(gratis, limits({ caps }))[0]?.free).toBe(2);
  });
});

test("the longest duration on offer is one whose worst case the caps allow", () => {
  const caps = { ...sampleCaps, spendPerGrantMicros: PRICE / 4 };
  const offered = [routedOffer("a", { pricePerHourMicros: PRICE })];
  expect(cardOffers(offered, limits({ caps }))[0]?.durationMaxMs).toBe(HOUR_MS / 4);
  expect(cardOffers(offered, limits({ caps, slackMs: HOUR_MS / 4 }))).toEqual([]);
});

test("equal terms of two backends are one offer with the room of both, the cheapest first", () => {
  const offers = cardOffers(
    [
      routedOffer("a", { pricePerHourMicros: 2000, free: 1 }),
      routedOffer("b", { pricePerHourMicros: 1000, free: 1 }),
      routedOffer("c", { pricePerHourMicros: 1000, free: 2 }),
    ],
    limits(),
  );
  expect(offers.map(({ pricePerHourMicros, free: left }) => [pricePerHourMicros, left])).toEqual([
    [1000, 3],
    [2000, 1],
  ]);
});
