import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { utf8 } from "../../src/base/bytes.ts";
import { NAME_BYTES_MAX } from "../../src/base/limits.ts";
import { checkName } from "../../src/base/names.ts";
import { codeThrownBy } from "../support/codes.ts";

const ACCEPTED = [
  "a",
  "eu-west-1",
  "Zürich",
  "東京",
  "a".repeat(NAME_BYTES_MAX),
  "é".repeat(NAME_BYTES_MAX / 2),
  "0".repeat(64), // 64 hex digits are a name like any other
  "..",
  "a/b",
];
for (const name of ACCEPTED) {
  test(`accepted: ${name}`, () => expect(checkName(name, "network")).toBe(name));
}

const REFUSED: [string, string][] = [
  ["empty", ""],
  ["65 bytes", "a".repeat(NAME_BYTES_MAX + 1)],
  ["33 two-byte letters", "é".repeat(NAME_BYTES_MAX / 2 + 1)],
  ["a space", "a b"],
  ["a leading space", " a"],
  ["a tab", "a\tb"],
  ["a line feed", "a\n"],
  ["a no-break space", "a\u00a0b"],
  ["an ideographic space", "a\u3000b"],
  ["a line separator", "a\u2028b"],
  ["NUL", "a\0"],
  ["DEL", "a\u007f"],
  ["a C1 control", "a\u009b"],
  ["a zero-width space", "a\u200bb"],
  ["a right-to-left override", "a\u202eb"],
  ["a byte order mark", "\ufeffa"],
  ["the separator", "a|b"],
  ["a decomposed letter", "Zu\u0308rich"],
  ["the Kelvin sign", "\u212a"],
  ["a lone surrogate", "a\ud800"],
];
describe("refused as malformed", () => {
  for (const [why, name] of REFUSED) {
    test(why, () => expect(codeThrownBy(() => checkName(name, "network"))).toBe("malformed"));
  }
});

test("whatever is accepted comes back unchanged, is NFC, short, and survives UTF-8", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), (name) => {
      if (codeThrownBy(() => checkName(name, "name")) !== undefined) return;
      expect(checkName(name, "name")).toBe(name);
      expect(name.normalize("NFC")).toBe(name);
      expect(utf8(name).length).toBeLessThanOrEqual(NAME_BYTES_MAX);
      expect(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(utf8(name))).toBe(
        name,
      );
      expect(name).not.toMatch(/[\s|]/u);
    }),
    { numRuns: 2000 },
  );
});
