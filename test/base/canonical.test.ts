import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { type Canonical, decodeCanonical, encodeCanonical } from "../../src/base/canonical.ts";
import { CBOR_DEPTH_MAX } from "../../src/base/limits.ts";
import { seededRandom } from "../support/arbitraries.ts";
import { codeThrownBy } from "../support/codes.ts";

const SIZE_MAX = 1 << 20;

const value: fc.Arbitrary<Canonical> = fc.letrec<{ value: Canonical }>((tie) => ({
  value: fc.oneof(
    { depthSize: "medium", withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map((number) => number + 0), // -0 has no encoding of its own
    fc.string({ unit: "grapheme" }),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(fc.string({ unit: "grapheme", maxLength: 8 }), tie("value"), { maxKeys: 5 }),
  ),
})).value;

describe("round trip", () => {
  test("decoding gives the value back, and encoding it again the same bytes", () => {
    fc.assert(
      fc.property(value, (original) => {
        const encoded = encodeCanonical(original);
        const decoded = decodeCanonical(encoded, SIZE_MAX);
        expect(Bun.deepEquals(decoded, original)).toBe(true);
        expect(encodeCanonical(decoded)).toEqual(encoded);
      }),
      { numRuns: 500 },
    );
  });

  test("the order in which keys were set does not matter", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.nat(), { minKeys: 2 }), (object) => {
        const backwards = Object.fromEntries(Object.entries(object).reverse());
        expect(encodeCanonical(backwards)).toEqual(encodeCanonical(object));
      }),
    );
  });

  // RFC 8949 appendix A, the examples inside our profile.
  const EXAMPLES: [Canonical, string][] = [
    [0, "00"],
    [23, "17"],
    [24, "1818"],
    [1000, "1903e8"],
    [1000000, "1a000f4240"],
    [1000000000000, "1b000000e8d4a51000"],
    [-1, "20"],
    [-1000, "3903e7"],
    [false, "f4"],
    [true, "f5"],
    [null, "f6"],
    [Uint8Array.of(1, 2, 3, 4), "4401020304"],
    ["ü", "62c3bc"],
    ["𐅑", "64f0908591"],
    [[1, [2, 3], [4, 5]], "8301820203820405"],
    [{ a: 1, b: [2, 3] }, "a26161016162820203"],
    [Number.MAX_SAFE_INTEGER, "1b001fffffffffffff"],
    [Number.MIN_SAFE_INTEGER, "3b001ffffffffffffe"],
  ];
  for (const [decoded, hex] of EXAMPLES) {
    test(`0x${hex}`, () => {
      expect(toHex(encodeCanonical(decoded))).toBe(hex);
      expect(decodeCanonical(fromHex(hex), SIZE_MAX)).toEqual(decoded);
    });
  }

  test("shorter keys sort first, as DAG-CBOR has it", () => {
    expect(toHex(encodeCanonical({ aa: 1, b: 2 }))).toBe("a261620262616101");
  });
});

describe("what is not encoded", () => {
  class Point {
    readonly x = 1;
  }
  const circular: { self?: unknown } = {};
  circular.self = circular;
  const REFUSED: [string, unknown][] = [
    ["a float", 1.5],
    ["NaN", Number.NaN],
    ["an infinity", Number.POSITIVE_INFINITY],
    ["an unsafe integer", 2 ** 53],
    ["a small bigint", 10n],
    ["a large bigint", -(2n ** 53n)],
    ["undefined", undefined],
    ["an undefined property", { a: undefined }],
    ["a hole in an array", Array(1)],
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["a Date", new Date(0)],
    ["a Map", new Map([["a", 1]])],
    ["a Set", new Set([1])],
    ["a class instance", new Point()],
    ["a String object", Object("text")],
    ["a wider typed array", new Uint16Array(2)],
    ["an ArrayBuffer", new ArrayBuffer(2)],
    ["a lone surrogate", ["\ud800"]],
    ["a lone surrogate as a key", { "\udfff": 1 }],
  ];
  for (const [name, refused] of REFUSED) {
    test(name, () => expect(codeThrownBy(() => encodeCanonical(refused))).toBe("malformed"));
  }

  test("a circular value", () => {
    expect(codeThrownBy(() => encodeCanonical(circular))).toBe("too-deep");
  });

  test("a value nested far deeper than the stack", () => {
    let deep: unknown = 1;
    for (let i = 0; i < 200_000; i += 1) deep = [deep];
    expect(codeThrownBy(() => encodeCanonical(deep))).toBe("too-deep");
  });
});

describe("what is not decoded", () => {
  const REFUSED: [string, string, string][] = [
    ["0 in two bytes", "1800", "not-canonical"],
    ["23 in two bytes", "1817", "not-canonical"],
    ["255 in three bytes", "1900ff", "not-canonical"],
    ["65535 in five bytes", "1a0000ffff", "not-canonical"],
    ["1 in nine bytes", "1b0000000000000001", "not-canonical"],
    ["a long form of a negative integer", "3800", "not-canonical"],
    ["a long form of a string length", "780161", "not-canonical"],
    ["a long form of a byte string length", "580100", "not-canonical"],
    ["a long form of an array length", "980100", "not-canonical"],
    ["a long form of a map length", "b801616100", "not-canonical"],
    ["unsorted keys", "a2616201616102", "not-canonical"],
    ["a longer key first", "a262616101616202", "not-canonical"],
    ["duplicate keys", "a2616101616102", "malformed"],
    ["an integer as a key", "a10101", "malformed"],
    ["a byte string as a key", "a1414101", "malformed"],
    ["an array as a key", "a18001", "malformed"],
    ["an indefinite array", "9f01ff", "malformed"],
    ["an indefinite map", "bf616101ff", "malformed"],
    ["an indefinite string", "7f6161ff", "malformed"],
    ["an indefinite byte string", "5f4161ff", "malformed"],
    ["a lone break", "ff", "malformed"],
    ["a half float", "f93c00", "malformed"],
    ["a single float", "fa47c35000", "malformed"],
    ["a double float", "fb3ff199999999999a", "malformed"],
    ["NaN", "f97e00", "malformed"],
    ["undefined", "f7", "malformed"],
    ["a simple value", "f8ff", "malformed"],
    ["a tag", "c074323031332d30332d32315432303a30343a30305a", "malformed"],
    ["a CID", "d82a450001711200", "malformed"],
    ["a bignum", "c249010000000000000000", "malformed"],
    ["trailing bytes", "0000", "malformed"],
    ["nothing", "", "malformed"],
    ["an array that ends early", "820101".slice(0, 4), "malformed"],
    ["a map that ends early", "a16161", "malformed"],
    ["a string that ends early", "6261", "malformed"],
    ["a length that ends early", "19", "malformed"],
    ["a byte string of 2^53 bytes", "5b0020000000000000", "malformed"],
    ["a string of 2^53 - 1 bytes", "7b001fffffffffffff", "malformed"],
    ["an array of 2^53 items", "9b0020000000000000", "malformed"],
    ["an array of 2^32 items", "9affffffff", "malformed"],
    ["a map of 2^52 pairs", "bb0010000000000000", "malformed"],
    ["the integer 2^53", "1b0020000000000000", "malformed"],
    ["the integer 2^64 - 1", "1bffffffffffffffff", "malformed"],
    ["the integer -2^53", "3b001fffffffffffff", "malformed"],
    ["the integer -2^64", "3bffffffffffffffff", "malformed"],
    ["reserved additional information", "1c", "malformed"],
    ["invalid UTF-8", "61ff", "not-canonical"],
    ["a surrogate in UTF-8", "63eda080", "not-canonical"],
  ];
  for (const [name, hex, code] of REFUSED) {
    test(`${name}: ${code}`, () => {
      expect(codeThrownBy(() => decodeCanonical(fromHex(hex), SIZE_MAX))).toBe(code as "malformed");
    });
  }

  test("one byte above the size limit, before anything is read", () => {
    const encoded = encodeCanonical(new Uint8Array(30));
    expect(decodeCanonical(encoded, encoded.length)).toEqual(new Uint8Array(30));
    expect(codeThrownBy(() => decodeCanonical(encoded, encoded.length - 1))).toBe("too-large");
  });
});

describe("depth", () => {
  const arrays = (depth: number): Uint8Array =>
    Uint8Array.from({ length: depth + 1 }, (_, i) => (i < depth ? 0x81 : 0x00));
  const maps = (depth: number): Uint8Array => fromHex(`${"a16161".repeat(depth)}00`);

  for (const [name, nest] of Object.entries({ arrays, maps })) {
    test(`${CBOR_DEPTH_MAX} nested ${name} pass, one more does not`, () => {
      expect(codeThrownBy(() => decodeCanonical(nest(CBOR_DEPTH_MAX), SIZE_MAX))).toBeUndefined();
      expect(codeThrownBy(() => decodeCanonical(nest(CBOR_DEPTH_MAX + 1), SIZE_MAX))).toBe(
        "too-deep",
      );
    });

    test(`4,000 nested ${name} are refused at the limit, not at the end of the stack`, () => {
      expect(codeThrownBy(() => decodeCanonical(nest(4000), SIZE_MAX))).toBe("too-deep");
    });
  }

  test("what can be encoded can be decoded: both sides have the same limit", () => {
    let deep: unknown = 0;
    for (let i = 0; i < CBOR_DEPTH_MAX; i += 1) deep = [deep];
    const encoded = encodeCanonical(deep);
    expect(encodeCanonical(decodeCanonical(encoded, SIZE_MAX))).toEqual(encoded);
    expect(codeThrownBy(() => encodeCanonical([deep]))).toBe("too-deep");
  });
});

describe("fuzz", () => {
  const MUTANTS = 20_000;
  const SEEDS: Canonical[] = [
    { v: 1, kind: "card", body: new Uint8Array(20), list: [1, -1, 1000, 2 ** 40] },
    [[[[{ a: { b: [null, true, false, "text"] } }]]]],
    { long: "x".repeat(300), bytes: new Uint8Array(300).fill(0x81) },
    Array.from({ length: 40 }, (_, i) => ({ [`key${i}`]: i * 1000 })),
  ];

  function mutate(source: Uint8Array, random: (below: number) => number): Uint8Array {
    const bytes = [...source];
    for (let edits = 1 + random(4); edits > 0; edits -= 1) {
      const at = random(bytes.length + 1);
      const kind = random(5);
      if (kind === 0) bytes.splice(at, 1);
      else if (kind === 1) bytes.splice(at, 0, random(256));
      else if (kind === 2) bytes.length = at;
      else if (kind === 3)
        bytes.splice(at, 0, ...bytes.slice(random(bytes.length + 1)).slice(0, 30));
      else if (at < bytes.length) bytes[at] = random(256);
    }
    return Uint8Array.from(bytes);
  }

  test(`${MUTANTS} mutated encodings: a BridgeError, or a value with exactly these bytes`, () => {
    const random = seededRandom(0x5eed);
    let accepted = 0;
    for (let i = 0; i < MUTANTS; i += 1) {
      const mutant = mutate(encodeCanonical(SEEDS[i % SEEDS.length]), random);
      let decoded: Canonical | undefined;
      const code = codeThrownBy(() => {
        decoded = decodeCanonical(mutant, SIZE_MAX);
      });
      if (code !== undefined) continue;
      accepted += 1;
      expect(toHex(encodeCanonical(decoded))).toBe(toHex(mutant));
    }
    expect(accepted).toBeGreaterThan(500);
    expect(accepted).toBeLessThan(MUTANTS);
  });

  test("random bytes: a BridgeError, or a value with exactly these bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        let decoded: Canonical | undefined;
        const code = codeThrownBy(() => {
          decoded = decodeCanonical(bytes, SIZE_MAX);
        });
        if (code === undefined) expect(encodeCanonical(decoded)).toEqual(bytes);
      }),
      { numRuns: 5000 },
    );
  });
});
