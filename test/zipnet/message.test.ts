/** A request as transports carry it: one size, and only what was signed comes out again. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { toHex } from "../../src/base/bytes.ts";
import { ENVELOPE_BYTES } from "../../src/base/limits.ts";
import { checkRequest } from "../../src/coalition/request.ts";
import { checkSignature, encodeRecord, type SignedRecord } from "../../src/network/record.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { packRequest, unpackRequest } from "../../src/zipnet/message.ts";
import { testOrder } from "../support/actors.ts";
import { seedNamed, testCeremony } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";

const { coalition } = testCeremony();

describe("a packed request", () => {
  const { record } = composeRequest(coalition, testOrder(), 5);
  const packed = packRequest(record);

  test("unpacks to the record that was signed", () => {
    const unpacked = unpackRequest(packed, coalition.network);
    expect(toHex(encodeRecord(unpacked))).toBe(toHex(encodeRecord(record)));
    checkSignature(unpacked, coalition.network);
  });

  test("in another network has no valid signature", () => {
    const elsewhere = seedNamed("elsewhere");
    const unpacked = unpackRequest(packed, elsewhere);
    expect(codeThrownBy(() => checkSignature(unpacked, elsewhere))).toBe("bad-signature");
  });

  test("with any byte changed is refused, or is no valid record any more", () => {
    const taken = (bytes_: Uint8Array): boolean => {
      try {
        const unpacked: SignedRecord = unpackRequest(bytes_, coalition.network);
        checkSignature(unpacked, coalition.network);
        return true;
      } catch {
        return false;
      }
    };
    expect(taken(packed)).toBe(true);
    fc.assert(
      fc.property(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const copy = packed.slice();
        copy[at] = (copy[at] ?? 0) ^ change;
        expect(taken(copy)).toBe(false);
      }),
      { seed: 22, numRuns: 200 },
    );
  });

  test("that does not fit says what to leave out", () => {
    const accept = { ...testOrder().accept, releases: Array(4).fill(seedNamed("release")) };
    const { record: large, request } = composeRequest(coalition, testOrder({ accept }), 5);
    expect(request.accept.releases.length).toBe(4);
    expect(codeThrownBy(() => packRequest(large))).toBe("too-large");
    expect(
      codeThrownBy(() => checkRequest({ request, sealed: new Uint8Array(ENVELOPE_BYTES) })),
    ).toBe("wrong-schema");
  });
});
