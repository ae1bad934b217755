import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  base64,
  bytes32,
  compare,
  concat,
  equal,
  fromHex,
  fromUtf8,
  register48,
  toHex,
  u32be,
  u64be,
  utf8,
  zero,
} from "../../src/base/bytes.ts";
import { bytes } from "../support/arbitraries.ts";
import { codeThrownBy } from "../support/codes.ts";

test("hex goes both ways, and a window into a larger buffer prints only itself", () => {
  fc.assert(
    fc.property(bytes(0, 60), fc.nat(10), (value, offset) => {
      expect(fromHex(toHex(value))).toEqual(value);
      const window = concat(new Uint8Array(offset).fill(0xee), value, Uint8Array.of(0xee)).subarray(
        offset,
        offset + value.length,
      );
      expect(toHex(window)).toBe(toHex(value));
      expect(base64(window)).toBe(Buffer.from(value).toString("base64"));
    }),
  );
});

test("one value has one hex spelling", () => {
  for (const text of ["AB", "aB", "abc", "0x00", "zz", " 00", "00\n", "٠٠"]) {
    expect(codeThrownBy(() => fromHex(text))).toBe("malformed");
  }
});

describe("branded lengths", () => {
  test("bytes32 and register48 take their length alone", () => {
    for (let length = 0; length < 64; length += 1) {
      const value = new Uint8Array(length);
      expect(codeThrownBy(() => bytes32(value))).toBe(length === 32 ? undefined : "malformed");
      expect(codeThrownBy(() => register48(value))).toBe(length === 48 ? undefined : "malformed");
    }
  });
});

test("equal and compare agree with hex", () => {
  fc.assert(
    fc.property(bytes(0, 4), bytes(0, 4), (a, b) => {
      expect(equal(a, b)).toBe(toHex(a) === toHex(b));
      const order = toHex(a) < toHex(b) ? -1 : toHex(a) > toHex(b) ? 1 : 0;
      expect(compare(a, b)).toBe(order);
    }),
    { numRuns: 1000 },
  );
});

test("UTF-8 is strict on the way in", () => {
  expect(fromUtf8(utf8("Zürich 東京 𐅑"))).toBe("Zürich 東京 𐅑");
  expect(() => fromUtf8(Uint8Array.of(0xff))).toThrow();
  expect(() => fromUtf8(fromHex("eda080"))).toThrow();
});

test("integers are big endian", () => {
  expect(toHex(u32be(0x01020304))).toBe("01020304");
  expect(toHex(u64be(Number.MAX_SAFE_INTEGER))).toBe("001fffffffffffff");
});

test("zero overwrites every argument in place", () => {
  const [a, b] = [Uint8Array.of(1, 2), Uint8Array.of(3)];
  zero(a, b);
  expect([...a, ...b]).toEqual([0, 0, 0]);
});
