import { describe, expect, test } from "bun:test";
import { encodeCanonical } from "../../src/base/canonical.ts";
import { BridgeError } from "../../src/base/errors.ts";
import {
  Bytes32Schema,
  byteString,
  codec,
  integer,
  oneOf,
  strictObject,
  Type,
} from "../../src/base/schema.ts";
import { codeThrownBy } from "../support/codes.ts";

const Machine = codec(
  strictObject({
    v: Type.Literal(1),
    id: Bytes32Schema,
    kind: oneOf(["none", "tdx"]),
    cpu: integer(1, 64),
    note: Type.Optional(Type.String({ maxLength: 4 })),
    disks: Type.Array(strictObject({ sizeGib: integer() }), { maxItems: 2 }),
    nonce: byteString(2),
  }),
  "machine",
);

const GOOD = {
  ...{ v: 1, id: new Uint8Array(32), kind: "tdx", cpu: 4 },
  ...{ disks: [{ sizeGib: 1 }], nonce: new Uint8Array(2) },
};

test("a value of the schema passes unchanged, also through its encoding", () => {
  expect(Machine.check(GOOD) as unknown).toBe(GOOD);
  expect(Machine.decode(encodeCanonical(GOOD), 1000) as unknown).toEqual(GOOD);
});

const REFUSED: [string, unknown, string][] = [
  ["an unknown key", { ...GOOD, extra: 1 }, "machine.extra"],
  ["an unknown key further down", { ...GOOD, disks: [{ sizeGib: 1, x: 1 }] }, "machine.disks.0.x"],
  ["a missing key", { ...GOOD, cpu: undefined }, "machine.cpu"],
  ["another version", { ...GOOD, v: 2 }, "machine.v"],
  ["31 bytes", { ...GOOD, id: new Uint8Array(31) }, "machine.id"],
  ["33 bytes", { ...GOOD, id: new Uint8Array(33) }, "machine.id"],
  ["text for bytes", { ...GOOD, id: "0".repeat(32) }, "machine.id"],
  ["a list of numbers for bytes", { ...GOOD, nonce: [0, 0] }, "machine.nonce"],
  ["a value off the list", { ...GOOD, kind: "sgx" }, "machine.kind"],
  ["below the minimum", { ...GOOD, cpu: 0 }, "machine.cpu"],
  ["above the maximum", { ...GOOD, cpu: 65 }, "machine.cpu"],
  ["a fraction", { ...GOOD, cpu: 1.5 }, "machine.cpu"],
  ["a number as text", { ...GOOD, cpu: "4" }, "machine.cpu"],
  [
    "above what JavaScript holds",
    { ...GOOD, disks: [{ sizeGib: 2 ** 53 }] },
    "machine.disks.0.sizeGib",
  ],
  ["too long a text", { ...GOOD, note: "12345" }, "machine.note"],
  ["too many items", { ...GOOD, disks: Array(3).fill({ sizeGib: 1 }) }, "machine.disks"],
  ["an array", [], "machine"],
  ["null", null, "machine"],
];
describe("refused with the path", () => {
  for (const [why, value, path] of REFUSED) {
    test(why, () => {
      try {
        Machine.check(value);
        expect.unreachable();
      } catch (error) {
        expect(error).toBeInstanceOf(BridgeError);
        expect(error).toMatchObject({ code: "wrong-schema" });
        expect((error as BridgeError).message).toStartWith(`${path}: `);
      }
    });
  }
});

describe("decode", () => {
  test("keeps the codes of the encoding apart from the schema's", () => {
    const encoded = encodeCanonical(GOOD);
    expect(codeThrownBy(() => Machine.decode(encoded, encoded.length - 1))).toBe("too-large");
    expect(codeThrownBy(() => Machine.decode(encoded.subarray(1), 1000))).toBe("malformed");
    expect(codeThrownBy(() => Machine.decode(encodeCanonical({ v: 1 }), 1000))).toBe(
      "wrong-schema",
    );
  });

  test("an own __proto__ key is an unknown key like any other", () => {
    const poisoned = JSON.parse('{"__proto__": {"v": 1}}');
    expect(codeThrownBy(() => Machine.decode(encodeCanonical({ ...poisoned, v: 1 }), 1000))).toBe(
      "wrong-schema",
    );
    expect(Object.hasOwn(Object.prototype, "v")).toBe(false);
  });
});
