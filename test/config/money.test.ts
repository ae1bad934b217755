import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BridgeError } from "../../src/base/errors.ts";
import { HOUR_MS, MONEY_MICROS_MAX } from "../../src/base/limits.ts";
import { costMicros, formatMicros, parseMicros } from "../../src/config/money.ts";

describe("parseMicros", () => {
  test("exact where floats are not", () => {
    expect(parseMicros("0.1") + parseMicros("0.2")).toBe(parseMicros("0.3"));
    expect(parseMicros("1.005")).toBe(1_005_000);
    expect(parseMicros("0.000001")).toBe(1);
    expect(parseMicros("0")).toBe(0);
    expect(parseMicros("12.50")).toBe(12_500_000);
    expect(parseMicros("1000000000")).toBe(MONEY_MICROS_MAX);
    expect(parseMicros("999999999.999999")).toBe(MONEY_MICROS_MAX - 1);
  });

  const refused: [string, string][] = [
    ["-1", "is negative"],
    ["-0.5", "is negative"],
    ["0.0000001", "has more than 6 decimals"],
    ["1.1234560", "has more than 6 decimals"],
    ["1000000000.000001", "is above 1000000000"],
    ["9999999999999999", "is above 1000000000"],
    ...[
      "",
      " ",
      "+1",
      "1e3",
      "1.5e-3",
      "0x10",
      ".5",
      "5.",
      "1,5",
      "1 000",
      "1_000",
      "007",
      "00",
      "nan",
      "inf",
      "-inf",
      "١",
      "1.5€",
      "1\n",
      "99999999999999999999",
    ].map((text): [string, string] => [
      text,
      text.startsWith("-") ? "is negative" : "is not a plain decimal such as 12.5",
    ]),
  ];
  test.each(refused)("refuses %j", (text, reason) => {
    expect(() => parseMicros(text)).toThrow(new BridgeError("malformed", reason));
  });

  test("formatMicros is its inverse, and the shortest text", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MONEY_MICROS_MAX }), (micros) => {
        const text = formatMicros(micros);
        expect(parseMicros(text)).toBe(micros);
        expect(text).not.toMatch(/\.\d*0$/);
      }),
    );
    expect(formatMicros(500_000)).toBe("0.5");
    expect(formatMicros(50_000_000)).toBe("50");
  });
});

test("costMicros rounds up and never falls below the exact cost", () => {
  expect(costMicros(1, 1)).toBe(1n);
  expect(costMicros(3_600_000, 1)).toBe(1n);
  expect(costMicros(3_600_001, 1)).toBe(2n);
  expect(costMicros(0, HOUR_MS)).toBe(0n);
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: MONEY_MICROS_MAX }),
      fc.integer({ min: 0, max: 168 * HOUR_MS }),
      (price, durationMs) => {
        const scaled = costMicros(price, durationMs) * BigInt(HOUR_MS);
        const exact = BigInt(price) * BigInt(durationMs);
        expect(scaled >= exact && scaled - exact < BigInt(HOUR_MS)).toBe(true);
      },
    ),
  );
});
