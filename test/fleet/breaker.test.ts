/** Each failure blocks as widely as it reaches, for as long as it is likely to last. */
import { describe, expect, test } from "bun:test";
import { BREAKER_AUTH_MS, BREAKER_CAPACITY_MS, BREAKER_QUOTA_MS } from "../../src/base/limits.ts";
import { createBreaker, type Place } from "../../src/fleet/breaker.ts";
import { fakeClock } from "../support/fake-clock.ts";

const here: Place = {
  backend: "a",
  region: "r1",
  zone: "z1",
  shape: { cpuMillicores: 1000, ramMib: 1024 },
};
const NEIGHBOURS: Readonly<Record<string, Place>> = {
  here,
  "another shape": { ...here, shape: { cpuMillicores: 2000, ramMib: 1024 } },
  "another zone": { ...here, zone: "z2" },
  "another region": { ...here, region: "r2" },
  "another backend": { ...here, backend: "b" },
};

const blockedBy = (code: string): string[] => {
  const breaker = createBreaker(fakeClock());
  breaker.trip(here, code, "why");
  return Object.keys(NEIGHBOURS).filter((name) => breaker.isBlocked(NEIGHBOURS[name] ?? here));
};

describe("width", () => {
  const widths: Readonly<Record<string, readonly string[]>> = {
    capacity: ["here"],
    quota: ["here", "another shape", "another zone"],
    auth: ["here", "another shape", "another zone", "another region"],
    bug: ["here", "another shape", "another zone", "another region"],
    throttle: [],
    "unknown-outcome": [],
    "bad-image": [],
    "machine-ended": [],
  };
  for (const [code, names] of Object.entries(widths)) {
    test(`${code} blocks ${names.join(", ") || "nothing"}`, () => {
      expect(blockedBy(code)).toEqual([...names]);
    });
  }
});

describe("expiry", () => {
  for (const [code, ms] of [
    ["capacity", BREAKER_CAPACITY_MS],
    ["quota", BREAKER_QUOTA_MS],
    ["auth", BREAKER_AUTH_MS],
    ["bug", BREAKER_AUTH_MS],
  ] as const) {
    test(`${code} is over after ${ms} ms`, async () => {
      const clock = fakeClock();
      const breaker = createBreaker(clock);
      breaker.trip(here, code, "why");
      await clock.advance(ms - 1);
      expect(breaker.isBlocked(here)).toBe(true);
      expect(breaker.blocked()).toMatchObject([{ reason: `${code}: why` }]);
      await clock.advance(1);
      expect(breaker.isBlocked(here)).toBe(false);
      expect(breaker.blocked()).toEqual([]);
    });
  }

  test("a wall clock set back does not prolong it", async () => {
    const clock = fakeClock();
    const skewed = clock.skewed();
    const breaker = createBreaker(skewed);
    breaker.trip(here, "capacity", "why");
    skewed.shiftMs = -86_400_000;
    await clock.advance(BREAKER_CAPACITY_MS);
    expect(breaker.isBlocked(here)).toBe(false);
  });

  test("another failure begins the time anew; one elsewhere does not", async () => {
    const clock = fakeClock();
    const breaker = createBreaker(clock);
    breaker.trip(here, "capacity", "first");
    await clock.advance(BREAKER_CAPACITY_MS - 1);
    breaker.trip({ ...here, zone: "z2" }, "capacity", "elsewhere");
    breaker.trip(here, "capacity", "second");
    await clock.advance(BREAKER_CAPACITY_MS - 1);
    expect(breaker.isBlocked(here)).toBe(true);
    expect(breaker.blocked().length).toBe(2);
    await clock.advance(1);
    expect(breaker.blocked()).toEqual([]);
  });
});
