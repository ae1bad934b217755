/** What a record must be before anything else is asked of it; every wrong one has its code. */
import { describe, expect, test } from "bun:test";
import { ed25519 } from "@noble/curves/ed25519.js";
import fc from "fast-check";
import { concat, equal, fromHex, toHex, u32be, utf8 } from "../../src/base/bytes.ts";
import { encodeCanonical } from "../../src/base/canonical.ts";
import { BridgeError, ERROR_CODES, type ErrorCode } from "../../src/base/errors.ts";
import { RECORD_BYTES_MAX } from "../../src/base/limits.ts";
import {
  checkSignature,
  decodeRecord,
  encodeRecord,
  recordId,
  type SignedRecord,
  signingInput,
  signRecord,
  unsignedRecord,
} from "../../src/network/record.ts";
import { flipped } from "../support/arbitraries.ts";
import { keyNamed } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { NETWORK, note, noteBytes, noteStore, OTHER_NETWORK } from "./notes.ts";

const key = keyNamed("writer");
const record = signRecord(key, NETWORK, "note", note({ text: "hello" }));
const bytes = encodeRecord(record);

function codeOfOffer(offered: Uint8Array): ErrorCode | undefined {
  return codeThrownBy(() => noteStore().store.offer(offered));
}

function altered(change: Partial<Record<keyof SignedRecord, unknown>>): Uint8Array {
  return encodeCanonical({ ...record, ...change });
}

/** A record whose body is these bytes, signed as it should be. */
function withBody(body: Uint8Array): Uint8Array {
  const unsigned = { kind: "note", version: 1, network: NETWORK, body };
  return encodeRecord({
    ...unsigned,
    signer: key.publicKey,
    signature: key.sign(signingInput(unsigned)),
  });
}

describe("a record", () => {
  test("is taken, and is the same after a round trip", () => {
    expect(noteStore().store.offer(bytes)).toEqual({ fresh: true, kind: "note" });
    expect(toHex(encodeRecord(decodeRecord(bytes)))).toBe(toHex(bytes));
  });

  test("is signed over lp(tag, network, kind, version, body)", () => {
    const field = (value: Uint8Array) => concat(u32be(value.length), value);
    const input = concat(
      field(utf8("compute-bridge/record/v1")),
      field(NETWORK),
      field(utf8("note")),
      field(u32be(1)),
      field(record.body),
    );
    expect(toHex(signingInput(record))).toBe(toHex(input));
    expect(ed25519.verify(record.signature, input, record.signer)).toBe(true);
  });

  test("has an id over all its bytes, signature included", () => {
    expect(equal(recordId(bytes), recordId(flipped(bytes, bytes.length - 1)))).toBe(false);
  });
});

const cases: readonly [name: string, bytes: Uint8Array, code: ErrorCode][] = [
  ["empty", new Uint8Array(0), "malformed"],
  ["oversized", new Uint8Array(RECORD_BYTES_MAX + 1), "too-large"],
  ["above its collection's size", noteBytes(key, { text: "x".repeat(6000) }), "too-large"],
  ["4,000 nested arrays", new Uint8Array(4000).fill(0x81), "too-deep"],
  ["4,000 nested arrays in its body", withBody(new Uint8Array(4000).fill(0x81)), "too-deep"],
  ["with a second value behind it", concat(bytes, bytes), "malformed"],
  ["with a longer integer than needed", longerVersion(bytes), "not-canonical"],
  ["with its keys in another order", reordered(), "not-canonical"],
  ["with an unknown key", encodeCanonical({ ...record, extra: 1 }), "wrong-schema"],
  ["without a signature", withoutSignature(), "wrong-schema"],
  ["with a short signature", altered({ signature: record.signature.slice(1) }), "wrong-schema"],
  ["with a short signer", altered({ signer: record.signer.slice(1) }), "wrong-schema"],
  [
    "of another network",
    encodeRecord(signRecord(key, OTHER_NETWORK, "note", note())),
    "wrong-network",
  ],
  ["of an unknown kind", encodeRecord(signRecord(key, NETWORK, "poem", note())), "unknown-kind"],
  ["of a later version", altered({ version: 2 }), "unknown-kind"],
  ["under a changed kind", altered({ kind: "not2" }), "unknown-kind"],
  ["under another signer", altered({ signer: keyNamed("other").publicKey }), "bad-signature"],
  ["under a key of small order", altered({ signer: smallOrder() }), "bad-signature"],
  [
    "with a small-order R",
    altered({ signature: concat(smallOrder(), record.signature.slice(32)) }),
    "bad-signature",
  ],
  [
    "with S at or above the order",
    altered({ signature: withS(record.signature) }),
    "bad-signature",
  ],
  ["with a body that is no CBOR", withBody(fromHex("ff")), "malformed"],
  ["with a body that is not canonical", withBody(fromHex("1801")), "not-canonical"],
  ["with a body of another schema", withBody(encodeCanonical({ slot: 1 })), "wrong-schema"],
];

describe("a record is refused", () => {
  for (const [name, wrong, code] of cases) {
    test(`${name}: ${code}`, () => {
      const { store, notes } = noteStore();
      expect(codeThrownBy(() => store.offer(wrong))).toBe(code);
      expect(notes.size).toBe(0);
    });
  }

  test("truncated at any place, with a code of the encoding", () => {
    for (let length = 0; length < bytes.length; length += 1) {
      const code = codeOfOffer(bytes.subarray(0, length));
      expect(ERROR_CODES.encoding as readonly unknown[]).toContain(code);
    }
  });

  test("with any bit flipped anywhere", () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
        expect(codeOfOffer(flipped(bytes, at, bit))).toBeDefined();
      }),
      { numRuns: 400, seed: 1 },
    );
  });

  test("random bytes are refused with a BridgeError, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (random) => {
        expect(codeOfOffer(random)).toBeDefined();
      }),
      { seed: 2 },
    );
  });

  test("its signature is checked against the network of the reader, too", () => {
    expect(() => checkSignature(record, OTHER_NETWORK)).toThrow(BridgeError);
    expect(codeThrownBy(() => checkSignature(record, NETWORK))).toBeUndefined();
  });

  test("signed for one kind, it does not hold for another", () => {
    const unsigned = unsignedRecord(NETWORK, "note", note());
    const signature = key.sign(signingInput({ ...unsigned, kind: "card" }));
    const moved = encodeRecord({ ...unsigned, signer: key.publicKey, signature });
    expect(codeOfOffer(moved)).toBe("bad-signature");
  });
});

function withoutSignature(): Uint8Array {
  const { signature: _, ...rest } = record;
  return encodeCanonical(rest);
}

function smallOrder(): Uint8Array {
  return fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
}

/** S + L: the same signature to a verifier that does not look. */
function withS(signature: Uint8Array): Uint8Array {
  const order = ed25519.Point.Fn.ORDER;
  const s = signature.slice(32).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n) + order;
  const moved = Uint8Array.from({ length: 32 }, (_, i) => Number((s >> BigInt(8 * i)) & 0xffn));
  return concat(signature.slice(0, 32), moved);
}

/** `version: 1` as 0x18 0x01. */
function longerVersion(source: Uint8Array): Uint8Array {
  const at = Buffer.from(source).indexOf(
    Buffer.from(concat(fromHex("67"), utf8("version"), fromHex("01"))),
  );
  return concat(source.slice(0, at + 8), fromHex("1801"), source.slice(at + 9));
}

/** Two entries of the map swapped: DAG-CBOR orders keys by length, then bytes. */
function reordered(): Uint8Array {
  const entry = (name: string, value: unknown) =>
    concat(encodeCanonical(name), encodeCanonical(value));
  const { kind, body, signer, network, version, signature } = record;
  return concat(
    fromHex("a6"),
    entry("body", body),
    entry("kind", kind),
    entry("signer", signer),
    entry("version", version),
    entry("network", network),
    entry("signature", signature),
  );
}
