/** Usage only grows, and what nobody measured never becomes zero. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HOUR_MS } from "../../src/base/limits.ts";
import { NO_USAGE, UNKNOWN_USAGE, type UsageRecord } from "../../src/ledger/state.ts";
import { allocatedUsage, laterUsage } from "../../src/watch/meter.ts";
import { measured } from "../ledger/samples.ts";

const amount = fc.oneof(
  fc.nat(),
  fc.double({ min: 0, max: 1e9, noNaN: true }),
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, -1),
);
const sample: fc.Arbitrary<UsageRecord> = fc.record({
  cpuCoreMs: amount,
  ramMibSeconds: amount,
  netBytes: fc.option(amount),
  basis: fc.constantFrom("measured", "allocated", "unknown", "none"),
});

describe("samples in a row", () => {
  test("never take usage back, are whole numbers, and once known stay known", () => {
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 20 }), (samples) => {
        let usage: UsageRecord = UNKNOWN_USAGE;
        for (const one of samples) {
          const before = usage;
          usage = laterUsage(before, one);
          for (const key of ["cpuCoreMs", "ramMibSeconds", "netBytes"] as const) {
            expect(usage[key] ?? 0).toBeGreaterThanOrEqual(before[key] ?? 0);
            expect(Number.isSafeInteger(usage[key] ?? 0)).toBe(true);
          }
          if (before.netBytes !== null) expect(usage.netBytes).not.toBeNull();
          if (before.basis !== "unknown") expect(usage.basis).not.toBe("unknown");
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a sampler that starts over does not take usage back", () => {
    expect(laterUsage(measured(100), measured(3))).toEqual(measured(100));
  });

  test("an unknown sample changes nothing, and unknown stays unknown", () => {
    expect(laterUsage(measured(5), UNKNOWN_USAGE)).toEqual(measured(5));
    expect(laterUsage(UNKNOWN_USAGE, UNKNOWN_USAGE).basis).toBe("unknown");
    expect(laterUsage(UNKNOWN_USAGE, NO_USAGE).basis).toBe("unknown");
  });

  test("the first known sample is taken as it is", () => {
    expect(laterUsage(UNKNOWN_USAGE, measured(5))).toEqual(measured(5));
  });

  test("network bytes nobody counts do not become zero", () => {
    const uncounted: UsageRecord = { ...measured(5), netBytes: null };
    expect(laterUsage(UNKNOWN_USAGE, uncounted).netBytes).toBeNull();
    expect(laterUsage(uncounted, uncounted).netBytes).toBeNull();
    expect(laterUsage(measured(5), uncounted).netBytes).toBe(15);
  });

  test("numbers that are none are no measurement", () => {
    for (const broken of [Number.NaN, Number.POSITIVE_INFINITY, -5, 2 ** 60]) {
      for (const key of ["cpuCoreMs", "ramMibSeconds", "netBytes"] as const) {
        expect(laterUsage(measured(5), { ...measured(9), [key]: broken })).toEqual(measured(5));
        expect(laterUsage(UNKNOWN_USAGE, { ...measured(9), [key]: broken })).toEqual(UNKNOWN_USAGE);
      }
    }
  });
});

test("allocated usage is shape times time, and says so", () => {
  const shape = { cpuMillicores: 2500, ramMib: 1000 };
  expect(allocatedUsage(shape, 1000, 1000 + HOUR_MS)).toEqual({
    cpuCoreMs: 2500 * 3600,
    ramMibSeconds: 1000 * 3600,
    netBytes: null,
    basis: "allocated",
  });
  expect(allocatedUsage(shape, 5000, 1000)).toMatchObject({ cpuCoreMs: 0, ramMibSeconds: 0 });
});
