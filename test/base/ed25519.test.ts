/**
 * RFC 8032 vectors; the edge cases of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020); the small-order
 * table against points generated with noble; agreement with noble on honest signatures.
 */
import { describe, expect, test } from "bun:test";
import { createPublicKey, verify as nodeVerify } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import fc from "fast-check";
import { concat, fromHex, toHex, utf8 } from "../../src/base/bytes.ts";
import {
  hasSmallOrder,
  randomSeed,
  SIGNATURE_BYTES,
  signingKey,
  verify,
} from "../../src/base/ed25519.ts";
import { bytes, flipped } from "../support/arbitraries.ts";
import { codeThrownBy } from "../support/codes.ts";
import rfc8032 from "../vectors/ed25519-rfc8032.json";
import speccheck from "../vectors/ed25519-speccheck.json";

const { Point } = ed25519;
const P = Point.Fp.ORDER;
const L = Point.Fn.ORDER;

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

function fromLittleEndian(encoded: Uint8Array): bigint {
  return encoded.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

describe("RFC 8032", () => {
  for (const vector of rfc8032.cases) {
    test(vector.name, () => {
      const key = signingKey(fromHex(vector.seed));
      expect(toHex(key.publicKey)).toBe(vector.publicKey);
      expect(toHex(key.sign(fromHex(vector.message)))).toBe(vector.signature);
      expect(verify(key.publicKey, fromHex(vector.message), fromHex(vector.signature))).toBe(true);
    });
  }
});

describe("Taming the many EdDSAs", () => {
  test("all twelve cases are here", () => {
    expect(speccheck.cases.map((entry) => entry.case)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    ]);
  });

  for (const entry of speccheck.cases) {
    test(`case ${entry.case}, ${entry.comment}: ${entry.accept ? "accepted" : "refused"}`, () => {
      const [publicKey, signature] = [fromHex(entry.publicKey), fromHex(entry.signature)];
      expect([publicKey.length, signature.length]).toEqual([32, SIGNATURE_BYTES]);
      expect(verify(publicKey, fromHex(entry.message), signature)).toBe(entry.accept);
    });
  }
});

describe("small order", () => {
  /** The eight torsion points: multiples of one point of order 8, found by clearing the prime-order part. */
  function torsionPoints(): InstanceType<typeof Point>[] {
    for (let y = 2n; y < 200n; y += 1n) {
      let candidate: InstanceType<typeof Point>;
      try {
        candidate = Point.fromBytes(littleEndian(y), true);
      } catch {
        continue;
      }
      const torsion = candidate.multiplyUnsafe(L - 1n).add(candidate);
      if (torsion.double().double().is0()) continue;
      const points = [Point.ZERO];
      for (let i = 1; i < 8; i += 1) points.push((points[i - 1] ?? Point.ZERO).add(torsion));
      return points;
    }
    throw new Error("no point of order 8 found");
  }

  /** Every 32-byte string that decodes to the point: y and y + p where that fits 255 bits, any sign if x = 0. */
  function spellings(point: InstanceType<typeof Point>): Uint8Array[] {
    const { x, y } = point.toAffine();
    const signs = x === 0n ? [0n, 1n] : [x & 1n];
    return [y, y + P]
      .filter((value) => value < 1n << 255n)
      .flatMap((value) => signs.map((sign) => littleEndian(value | (sign << 255n))));
  }

  const points = torsionPoints();
  const all = points.flatMap(spellings);

  test("there are eight points and fourteen spellings", () => {
    expect(new Set(points.map((point) => point.toHex())).size).toBe(8);
    expect(points.every((point) => point.multiplyUnsafe(8n).is0())).toBe(true);
    expect(new Set(all.map(toHex)).size).toBe(14);
  });

  test("the table holds every spelling and no honest key", () => {
    for (const spelling of all)
      expect([toHex(spelling), hasSmallOrder(spelling)]).toEqual([toHex(spelling), true]);
    fc.assert(
      fc.property(bytes(32), (seed) => {
        expect(hasSmallOrder(signingKey(seed).publicKey)).toBe(false);
      }),
    );
  });

  test("node:crypto alone accepts forgeries of this kind, so the table is needed", () => {
    const accepted = points.filter((point) => {
      const key = createPublicKey({
        key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(point.toBytes()).toString("base64url") },
        format: "jwk",
      });
      const forged = concat(Point.ZERO.toBytes(), new Uint8Array(32));
      return Array.from({ length: 64 }).some((_, i) =>
        nodeVerify(null, Uint8Array.of(i), key, forged),
      );
    });
    expect(accepted.length).toBeGreaterThan(1);
  });

  for (const spelling of all) {
    test(`A = ${toHex(spelling)} never verifies`, () => {
      // S = 0 with R = A' for every torsion R satisfies the equation for about one message in eight.
      for (let i = 0; i < 64; i += 1) {
        for (const r of points.map((point) => point.toBytes())) {
          expect(verify(spelling, Uint8Array.of(i), concat(r, new Uint8Array(32)))).toBe(false);
        }
      }
    });

    test(`R = ${toHex(spelling)} never verifies, though the equation holds`, () => {
      const secret = ed25519.utils.getExtendedPublicKey(fromHex("11".repeat(32)));
      const message = utf8("signed with a torsion nonce");
      const k = ed25519.Point.Fn.create(
        fromLittleEndian(ed25519Hash(concat(spelling, secret.pointBytes, message))),
      );
      const s = Point.Fn.create(k * secret.scalar);
      // With r = 0 the verification equation reads S·B = R + k·A, which 8·S·B = 8·(R + k·A) satisfies.
      const left = Point.BASE.multiply(s).multiplyUnsafe(8n);
      expect(left.equals(secret.point.multiply(k).multiplyUnsafe(8n))).toBe(true);
      expect(verify(secret.pointBytes, message, concat(spelling, littleEndian(s)))).toBe(false);
    });
  }
});

function ed25519Hash(message: Uint8Array): Uint8Array {
  return new Uint8Array(new Bun.CryptoHasher("sha512").update(message).digest());
}

describe("canonical S", () => {
  test("S + L, S + 2L … are refused for as long as they fit", () => {
    const key = signingKey(randomSeed());
    const message = utf8("m");
    const signature = key.sign(message);
    const s = fromLittleEndian(signature.subarray(32));
    let tried = 0;
    for (let other = s + L; other < 1n << 256n; other += L, tried += 1) {
      expect(
        verify(key.publicKey, message, concat(signature.subarray(0, 32), littleEndian(other))),
      ).toBe(false);
    }
    expect(tried).toBeGreaterThanOrEqual(14);
  });

  test("S = L itself is refused", () => {
    const key = signingKey(randomSeed());
    const signature = concat(key.sign(utf8("m")).subarray(0, 32), littleEndian(L));
    expect(verify(key.publicKey, utf8("m"), signature)).toBe(false);
  });
});

describe("properties", () => {
  test("agrees with noble on honest signatures, both ways", () => {
    fc.assert(
      fc.property(bytes(32), bytes(0, 300), (seed, message) => {
        const ours = signingKey(seed).sign(message);
        expect(ours).toEqual(ed25519.sign(message, seed));
        expect(ed25519.verify(ours, message, signingKey(seed).publicKey)).toBe(true);
        expect(verify(ed25519.getPublicKey(seed), message, ours)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test("a flipped bit anywhere is refused", () => {
    fc.assert(
      fc.property(bytes(32), bytes(1, 60), fc.nat(), fc.nat(7), (seed, message, at, bit) => {
        const key = signingKey(seed);
        const signature = key.sign(message);
        expect(verify(key.publicKey, message, flipped(signature, at, bit))).toBe(false);
        expect(verify(key.publicKey, flipped(message, at, bit), signature)).toBe(false);
        expect(verify(flipped(key.publicKey, at, bit), message, signature)).toBe(false);
      }),
    );
  });

  test("never throws, whatever the bytes and lengths", () => {
    fc.assert(
      fc.property(bytes(0, 40), bytes(0, 40), bytes(0, 70), (publicKey, message, signature) => {
        expect(verify(publicKey, message, signature)).toBe(false);
      }),
    );
    fc.assert(
      fc.property(bytes(32), bytes(0, 8), bytes(64), (publicKey, message, signature) => {
        expect(verify(publicKey, message, signature)).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  test("a seed of another length is refused", () => {
    expect(codeThrownBy(() => signingKey(new Uint8Array(31)))).toBe("malformed");
  });
});
