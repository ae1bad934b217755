import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { blake3 } from "@noble/hashes/blake3.js";
import fc from "fast-check";
import { concat, fromHex, toHex, utf8 } from "../../src/base/bytes.ts";
import { lp, sha256, type Tag, taggedHash } from "../../src/base/hash.ts";
import { bytes } from "../support/arbitraries.ts";
import published from "../vectors/blake3.json";
import golden from "../vectors/tagged-hash.json";

const TAG = "compute-bridge/test/v1";

describe("blake3", () => {
  for (const vector of published.cases) {
    test(`published vector, ${vector.inputLength} bytes`, () => {
      const input = Uint8Array.from({ length: vector.inputLength }, (_, i) => i % 251);
      expect(toHex(blake3(input))).toBe(vector.hash);
    });
  }
});

describe("tagged hash", () => {
  for (const [index, vector] of golden.cases.entries()) {
    test(`golden vector ${index}`, () => {
      const fields = vector.fields.map((field) => fromHex(field));
      if (vector.lp !== undefined) expect(toHex(lp(vector.tag, ...fields))).toBe(vector.lp);
      expect(toHex(taggedHash(vector.tag as Tag, ...fields))).toBe(vector.hash);
    });
  }

  test("text is hashed as UTF-8", () => {
    expect(taggedHash(TAG, "Zürich")).toEqual(taggedHash(TAG, utf8("Zürich")));
  });
});

describe("lp is injective", () => {
  const fields = fc.array(bytes(0, 6), { maxLength: 6 });

  test("different field lists never share their bytes", () => {
    fc.assert(
      fc.property(fields, fields, (a, b) => {
        const same =
          a.length === b.length && a.every((field, i) => toHex(field) === toHex(b[i] ?? field));
        expect(toHex(lp(...a)) === toHex(lp(...b))).toBe(same);
      }),
      { numRuns: 2000 },
    );
  });

  test("moving bytes over a field border changes the result", () => {
    fc.assert(
      fc.property(bytes(1, 12), fc.nat(), fc.nat(), (joined, i, j) => {
        const [first, second] = [i % (joined.length + 1), j % (joined.length + 1)];
        const split = (at: number): Uint8Array => lp(joined.subarray(0, at), joined.subarray(at));
        expect(toHex(split(first)) === toHex(split(second))).toBe(first === second);
      }),
    );
  });

  test("the lengths lead back to the fields", () => {
    fc.assert(
      fc.property(fields, (list) => {
        const written = lp(...list);
        const view = new DataView(written.buffer);
        const read: Uint8Array[] = [];
        for (let at = 0; at < written.length; ) {
          const length = view.getUint32(at);
          read.push(written.slice(at + 4, at + 4 + length));
          at += 4 + length;
        }
        expect(read).toEqual(list);
      }),
    );
  });

  test("an empty field is not no field", () => {
    expect(toHex(lp())).toBe("");
    expect(toHex(lp(""))).toBe("00000000");
    expect(taggedHash(TAG)).not.toEqual(taggedHash(TAG, ""));
  });
});

test("sha256 of parts is sha256 of their concatenation", () => {
  expect(toHex(sha256(utf8("abc")))).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", // FIPS 180-2 appendix B.1
  );
  fc.assert(
    fc.property(bytes(0, 40), bytes(0, 40), (a, b) => {
      expect(toHex(sha256(a, b))).toBe(createHash("sha256").update(concat(a, b)).digest("hex"));
    }),
  );
});
