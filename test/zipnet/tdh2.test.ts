/** Threshold decryption: any threshold opens, fewer do not, and nothing that was altered is ever decrypted. */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { concat, equal, fromHex, toHex, utf8 } from "../../src/base/bytes.ts";
import {
  checkCiphertext,
  checkShare,
  combine,
  decryptionShare,
  encrypt,
  TDH2_OVERHEAD_BYTES,
  TDH2_SHARE_BYTES,
} from "../../src/zipnet/tdh2.ts";
import { bytes, flipped } from "../support/arbitraries.ts";
import { secretsOf, testCeremony } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import * as plain from "./ristretto-reference.ts";
import * as paper from "./tdh2-reference.ts";

const label = utf8("what it is for");
const message = utf8("who wants what");
const { ORDER } = plain;

function randomScalar(): bigint {
  return (BigInt(`0x${randomBytes(40).toString("hex")}`) % (ORDER - 1n)) + 1n;
}

/** A key of the reference's own making, dealt to members. */
function dealt(threshold: number, members: number) {
  const coefficients = Array.from({ length: threshold }, randomScalar);
  const secrets = paper.deal(coefficients, members);
  const share = (index: number): Uint8Array => plain.scalarBytes(secrets.get(index) ?? 0n);
  return {
    publicKey: paper.publicKey(coefficients[0] ?? 0n),
    share,
    shareKey: (index: number) => paper.publicKey(secrets.get(index) ?? 0n),
    secret: (index: number): bigint => secrets.get(index) ?? 0n,
  };
}

function subsets(of: readonly number[], size: number): number[][] {
  if (size === 0) return [[]];
  return of.flatMap((first, i) =>
    subsets(of.slice(i + 1), size - 1).map((rest) => [first, ...rest]),
  );
}

const key = dealt(2, 3);
const sealed = encrypt(key.publicKey, message, label);
const shares = new Map([1, 2, 3].map((i) => [i, decryptionShare(key.share(i), sealed)]));
const pick = (...indexes: number[]) => new Map([...shares].filter(([i]) => indexes.includes(i)));

describe("a ciphertext", () => {
  for (const [threshold, members] of [
    [1, 1],
    [2, 3],
    [3, 4],
    [4, 5],
    [5, 7],
  ] as const) {
    test(`opens with every ${threshold} of ${members} shares, in any order, and with no fewer`, () => {
      const { publicKey, share, shareKey } = dealt(threshold, members);
      const ciphertext = encrypt(publicKey, message, label);
      checkCiphertext(ciphertext, label);
      const all = Array.from({ length: members }, (_, i) => i + 1);
      const made = new Map(all.map((i) => [i, decryptionShare(share(i), ciphertext)]));
      for (const i of all)
        expect(checkShare(shareKey(i), ciphertext, made.get(i) ?? label)).toBe(true);
      const open = (some: readonly number[]) =>
        combine(new Map(some.map((i) => [i, made.get(i) ?? label])), ciphertext, label);
      for (const some of subsets(all, threshold)) {
        expect(equal(open(some), message) && equal(open(some.toReversed()), message)).toBe(true);
      }
      for (const few of subsets(all, threshold - 1)) {
        expect(codeThrownBy(() => open(few))).toBe("bad-ciphertext");
      }
    });
  }

  test("of the ceremony's key opens with the members' shares", () => {
    const ceremony = testCeremony({ members: 4, threshold: 3 });
    const { coalition } = ceremony;
    const ciphertext = encrypt(coalition.unsealKey, message, label);
    const made = new Map(
      [4, 2, 1].map((i) => [i, decryptionShare(secretsOf(ceremony, i).unsealShare, ciphertext)]),
    );
    for (const [i, of] of made) {
      expect(checkShare(coalition.unsealShareKeys.get(i) ?? label, ciphertext, of)).toBe(true);
    }
    expect(equal(combine(made, ciphertext, label), message)).toBe(true);
  });

  test("carries any message, and is longer by a constant", () => {
    fc.assert(
      fc.property(bytes(0, 200), bytes(0, 80), (some, other) => {
        const ciphertext = encrypt(key.publicKey, some, other);
        expect(ciphertext.length).toBe(some.length + TDH2_OVERHEAD_BYTES);
        checkCiphertext(ciphertext, other);
        const made = new Map([1, 3].map((i) => [i, decryptionShare(key.share(i), ciphertext)]));
        expect(equal(combine(made, ciphertext, other), some)).toBe(true);
      }),
      { seed: 18, numRuns: 20 },
    );
  });

  test("is never made twice", () => {
    expect(equal(encrypt(key.publicKey, message, label), sealed)).toBe(false);
  });
});

describe("members refuse", () => {
  const check = (ciphertext: Uint8Array, for_ = label) =>
    codeThrownBy(() => checkCiphertext(ciphertext, for_));
  const replace = (at: number, part: Uint8Array): Uint8Array =>
    concat(sealed.slice(0, at), part, sealed.slice(at + part.length));

  test("another label: a copy under a rival's own request", () => {
    expect(check(sealed)).toBeUndefined();
    expect(check(sealed, utf8("a rival's request"))).toBe("bad-ciphertext");
    expect(check(sealed, label.slice(1))).toBe("bad-ciphertext");
  });

  test("one bit flipped, in every byte", () => {
    for (let at = 0; at < sealed.length; at += 1)
      expect(check(flipped(sealed, at, at))).toBe("bad-ciphertext");
  });

  test("a re-randomised ciphertext: u·g^a and ū·ḡ^a, with or without a proof of its own", () => {
    const { u, uBar, e, f, c } = paper.parts(sealed);
    for (let i = 0; i < 8; i += 1) {
      const a = randomScalar();
      const [u2, uBar2] = [
        plain.encode(plain.add(u, plain.times(plain.BASE, a))),
        plain.encode(plain.add(uBar, plain.times(paper.gBar, a))),
      ];
      expect(check(concat(u2, uBar2, sealed.slice(64)))).toBe("bad-ciphertext");
      // As if the rival knew r = a: the best proof it can make.
      const forged = plain.scalarBytes((f + a * e) % ORDER);
      expect(check(concat(u2, uBar2, plain.scalarBytes(e), forged, c))).toBe("bad-ciphertext");
    }
  });

  test("halves of two ciphertexts put together", () => {
    const other = encrypt(key.publicKey, message, label);
    for (const cut of [32, 64, 96, 128]) {
      expect(check(concat(sealed.slice(0, cut), other.slice(cut)))).toBe("bad-ciphertext");
    }
  });

  test("identity points, points that are none, scalars that are zero or not canonical", () => {
    const zero = new Uint8Array(32);
    const order = plain.scalarBytes(ORDER);
    const negative = fromHex(`01${"00".repeat(31)}`);
    for (const at of [0, 32]) {
      for (const part of [
        zero,
        negative,
        new Uint8Array(32).fill(255),
        plain.scalarBytes(2n ** 255n - 18n),
      ]) {
        expect(check(replace(at, part))).toBe("bad-ciphertext");
      }
    }
    for (const at of [64, 96]) {
      const shifted = plain.scalarBytes(plain.scalarOf(sealed.slice(at, at + 32)) + ORDER);
      for (const part of [zero, order, new Uint8Array(32).fill(255), shifted]) {
        expect(check(replace(at, part))).toBe("bad-ciphertext");
      }
    }
  });

  test("a well-proven ciphertext to nobody: r = 0, which anyone could open", () => {
    const open = paper.encrypt(key.publicKey, message, label, 0n, 5n);
    expect(paper.isValid(open, label)).toBe(true);
    expect(check(open)).toBe("bad-ciphertext");
  });

  test("what is cut short, and random bytes", () => {
    for (const length of [0, 31, 32, 127, TDH2_OVERHEAD_BYTES - 1, sealed.length - 1]) {
      expect(check(sealed.slice(0, length))).toBe("bad-ciphertext");
    }
    fc.assert(
      fc.property(bytes(TDH2_OVERHEAD_BYTES, 200), (random) => {
        expect(check(random)).toBe("bad-ciphertext");
      }),
      { seed: 19, numRuns: 40 },
    );
  });
});

describe("a share is bad", () => {
  const good = shares.get(1) ?? label;
  const holds = (share: Uint8Array, shareKey = key.shareKey(1), ciphertext = sealed): boolean =>
    checkShare(shareKey, ciphertext, share);
  const replace = (at: number, part: Uint8Array) =>
    concat(good.slice(0, at), part, good.slice(at + part.length));

  test("under another member's key, for another ciphertext, or with any byte changed", () => {
    expect(holds(good)).toBe(true);
    expect(holds(good, key.shareKey(2))).toBe(false);
    expect(holds(shares.get(2) ?? label)).toBe(false);
    expect(holds(good, key.shareKey(1), encrypt(key.publicKey, message, label))).toBe(false);
    for (let at = 0; at < TDH2_SHARE_BYTES; at += 1)
      expect(holds(flipped(good, at, at))).toBe(false);
  });

  test("when it is too short, too long, the identity, or not canonical", () => {
    const shifted = (at: number) =>
      plain.scalarBytes(plain.scalarOf(good.slice(at, at + 32)) + ORDER);
    for (const wrong of [
      good.slice(1),
      concat(good, new Uint8Array(1)),
      new Uint8Array(TDH2_SHARE_BYTES),
      replace(0, new Uint8Array(32)),
      replace(0, new Uint8Array(32).fill(255)),
      replace(32, new Uint8Array(32)),
      replace(32, shifted(32)),
      replace(64, new Uint8Array(32)),
      replace(64, shifted(64)),
    ]) {
      expect(holds(wrong)).toBe(false);
    }
    expect(holds(good, new Uint8Array(32))).toBe(false);
    expect(holds(good, new Uint8Array(32).fill(255))).toBe(false);
  });

  test("and does not open anything, even beside a good one", () => {
    const other = decryptionShare(key.share(2), encrypt(key.publicKey, message, label));
    const wrong = new Map([
      [1, good],
      [2, other],
    ]);
    expect(codeThrownBy(() => combine(wrong, sealed, label))).toBe("bad-ciphertext");
    const swapped = new Map([
      [2, good],
      [1, shares.get(2) ?? label],
    ]);
    expect(codeThrownBy(() => combine(swapped, sealed, label))).toBe("bad-ciphertext");
    expect(codeThrownBy(() => combine(pick(1, 2), sealed, utf8("x")))).toBe("bad-ciphertext");
  });
});

describe("against the paper, over another ristretto255", () => {
  test("its ciphertexts are ours", () => {
    const theirs = paper.encrypt(key.publicKey, message, label, randomScalar(), randomScalar());
    checkCiphertext(theirs, label);
    const made = new Map([2, 3].map((i) => [i, decryptionShare(key.share(i), theirs)]));
    expect(equal(combine(made, theirs, label), message)).toBe(true);
  });

  test("ours are its", () => {
    expect(paper.isValid(sealed, label)).toBe(true);
    expect(paper.isValid(sealed, utf8("another label"))).toBe(false);
    expect(equal(paper.combine(pick(1, 3), sealed, label), message)).toBe(true);
  });

  test("the shares of both hold with both", () => {
    for (const i of [1, 2, 3]) {
      const theirs = paper.share(key.secret(i), sealed, randomScalar());
      expect(checkShare(key.shareKey(i), sealed, theirs)).toBe(true);
      expect(paper.shareIsValid(key.shareKey(i), sealed, shares.get(i) ?? label)).toBe(true);
      expect(paper.shareIsValid(key.shareKey((i % 3) + 1), sealed, theirs)).toBe(false);
      expect(toHex(theirs.slice(0, 32))).toBe(toHex((shares.get(i) ?? label).slice(0, 32)));
    }
  });
});
