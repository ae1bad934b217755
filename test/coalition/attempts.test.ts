/** Where a request stands: every row of the table, and what must hold of all rows. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ATTEMPTS_MAX } from "../../src/base/limits.ts";
import { type AttemptView, type Standing, standing } from "../../src/coalition/attempts.ts";
import { REFUSAL_CODES, REGRANTABLE_CODES, type RefusalCode } from "../../src/coalition/grant.ts";

const SEEN = 10;
const T = 6; // ticks an attempt may take

function granted(
  grantTick: number,
  more: { admitted?: boolean; refused?: [code: RefusalCode, tick: number] } = {},
): AttemptView {
  const [code, tick] = more.refused ?? [];
  return {
    grantTick,
    admitted: more.admitted ?? false,
    refusal: code === undefined || tick === undefined ? undefined : { code, tick },
  };
}

type Views = readonly (AttemptView | undefined)[];
const busy = (grantTick: number, tick: number): AttemptView =>
  granted(grantTick, { refused: ["busy", tick] });

const rows: readonly [name: string, views: Views, nowTick: number, expected: string][] = [
  ["just seen", [], 10, "open 1"],
  ["the last tick of the first attempt", [], 15, "open 1"],
  ["nobody proposed in time", [], 16, "open 2"],
  ["nobody proposed twice", [], 22, "open 3"],
  ["nobody proposed three times", [], 28, "exhausted"],
  ["seen later than now, by a clock that stood still", [], 4, "open 1"],
  ["granted", [granted(11)], 11, "granted 1"],
  ["granted, the provider still may answer", [granted(11)], 16, "granted 1"],
  ["granted, the provider is silent", [granted(11)], 17, "open 2"],
  ["granted, silent, and the next attempt passed as well", [granted(11)], 23, "open 3"],
  ["granted, silent, nobody proposed again", [granted(11)], 29, "exhausted"],
  ["admitted", [granted(11, { admitted: true })], 12, "admitted 1"],
  ["admitted, long ago", [granted(11, { admitted: true })], 900, "admitted 1"],
  ["refused as busy: the next attempt at once", [busy(11, 12)], 12, "open 2"],
  ["refused late: the next attempt has its whole time", [busy(11, 16)], 21, "open 2"],
  ["refused as busy, nobody proposed since", [busy(11, 12)], 18, "open 3"],
  [
    "admitted, then given back as unavailable",
    [granted(11, { admitted: true, refused: ["unavailable", 13] })],
    13,
    "open 2",
  ],
  ["refused for good", [granted(11, { refused: ["above-cap", 12] })], 12, "refused 1 above-cap"],
  [
    "refused for good, long ago",
    [granted(11, { refused: ["image-mismatch", 12] })],
    900,
    "refused 1 image-mismatch",
  ],
  ["a late grant of the first attempt while the second was due", [granted(20)], 20, "granted 1"],
  ["second attempt granted, first never", [undefined, granted(17)], 18, "granted 2"],
  ["second attempt granted, first refused", [busy(11, 12), granted(13)], 14, "granted 2"],
  ["second attempt refused as busy", [busy(11, 12), busy(13, 14)], 14, "open 3"],
  ["third attempt granted", [busy(11, 12), busy(13, 14), granted(15)], 16, "granted 3"],
  ["third attempt refused as busy", [busy(11, 12), busy(13, 14), busy(15, 16)], 16, "exhausted"],
  ["third attempt silent", [undefined, undefined, granted(23)], 29, "exhausted"],
  [
    "third attempt admitted",
    [undefined, busy(17, 18), granted(20, { admitted: true })],
    99,
    "admitted 3",
  ],
];

function shown(at: Standing): string {
  return Object.values(at).join(" ");
}

describe("a request stands", () => {
  for (const [name, views, nowTick, expected] of rows) {
    test(`${name}: ${expected}`, () => {
      expect(shown(standing(views, SEEN, nowTick, T))).toBe(expected);
    });
  }

  for (const code of REFUSAL_CODES) {
    test(`refused with ${code}`, () => {
      const at = standing([granted(11, { refused: [code, 12] })], SEEN, 12, T);
      const again = (REGRANTABLE_CODES as readonly string[]).includes(code);
      expect(at.state).toBe(again ? "open" : "refused");
    });
  }
});

describe("as time goes on, with the same records", () => {
  const view = fc.option(
    fc.record({
      grantTick: fc.nat(40),
      admitted: fc.boolean(),
      refusal: fc.option(fc.record({ code: fc.constantFrom(...REFUSAL_CODES), tick: fc.nat(40) }), {
        nil: undefined,
      }),
    }),
    { nil: undefined },
  );
  const views = fc.array(view, { maxLength: ATTEMPTS_MAX });

  test("the attempt never goes back, and what is settled stays settled", () => {
    fc.assert(
      fc.property(views, fc.nat(40), fc.nat(60), fc.nat(60), (of, seen, early, wait) => {
        const [a, b] = [standing(of, seen, early, T), standing(of, seen, early + wait, T)];
        if (a.state === "exhausted") expect(b.state).toBe("exhausted");
        if (a.state === "admitted" || a.state === "refused") expect(b).toEqual(a);
        if ("attempt" in a && "attempt" in b) expect(b.attempt).toBeGreaterThanOrEqual(a.attempt);
      }),
      { seed: 13 },
    );
  });

  test("an open attempt has no grant yet and lies within the three", () => {
    fc.assert(
      fc.property(views, fc.nat(40), fc.nat(100), (of, seen, now) => {
        const at = standing(of, seen, now, T);
        if (at.state !== "open") return;
        expect(at.attempt).toBeLessThanOrEqual(ATTEMPTS_MAX);
        expect(of.slice(at.attempt - 1).every((one) => one === undefined)).toBe(true);
      }),
      { seed: 14 },
    );
  });

  test("every request comes to an end", () => {
    fc.assert(
      fc.property(views, fc.nat(40), (of, seen) => {
        const at = standing(of, seen, 1000, T);
        expect(["admitted", "refused", "exhausted"]).toContain(at.state);
      }),
      { seed: 15 },
    );
  });
});
