/**
 * TDH2 over ristretto255: threshold decryption that withstands chosen ciphertexts (Shoup and Gennaro, "Securing
 * Threshold Cryptosystems against Chosen Ciphertext Attack", J. Cryptology 15, 2002, section 5.2). Plain threshold
 * ElGamal is malleable: a rival could re-randomise somebody's envelope, win a grant for the copy, and read it. Here
 * the ciphertext carries a proof bound to a label, and nobody decrypts for another label.
 *
 * Ciphertext: u 32 ‖ ū 32 ‖ e 32 ‖ f 32 ‖ c, with c = ChaCha20-Poly1305 under a key from h^r.
 * Share: u_i 32 ‖ e_i 32 ‖ f_i 32.
 */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { mulAddUnsafe } from "@noble/curves/abstract/curve.js";
import { ristretto255, ristretto255_FROST, ristretto255_hasher } from "@noble/curves/ed25519.js";
import { concat, equal, toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { lp, taggedHash } from "../base/hash.ts";
import { SHARE_KEYS_KNOWN_MAX } from "../base/limits.ts";

const { Point } = ristretto255;
type Point = InstanceType<typeof Point>;
const { Fn } = Point;

export const TDH2_OVERHEAD_BYTES = 4 * 32 + 16;
export const TDH2_SHARE_BYTES = 96;

/** The second generator: nobody knows its logarithm to the base of the first. */
const gBar = (() => {
  const point = ristretto255_hasher.hashToCurve(lp("compute-bridge/tdh2-generator/v1"), {
    DST: "compute-bridge/tdh2-generator/v1",
  }) as Point;
  return point.precompute(6); // its table is made when it is first used: a provider never does
})();

/** `label` is what the ciphertext is for; decryption under another label is refused by every member. */
export function encrypt(
  publicKey: Uint8Array,
  plaintext: Uint8Array,
  label: Uint8Array,
): Uint8Array {
  const h = decodePoint(publicKey);
  const r = randomScalar();
  const s = randomScalar();
  const u = Point.BASE.multiply(r);
  const uBar = gBar.multiply(r);
  const c = cipher(h.multiply(r), label).encrypt(plaintext);
  const e = challenge(c, label, u, Point.BASE.multiply(s), uBar, gBar.multiply(s));
  const f = Fn.add(s, Fn.mul(r, e));
  return concat(u.toBytes(), uBar.toBytes(), Fn.toBytes(e), Fn.toBytes(f), c);
}

/** Throws `bad-ciphertext` unless the proof binds this ciphertext to this label. */
export function checkCiphertext(ciphertext: Uint8Array, label: Uint8Array): void {
  const { u, uBar, e, f, c } = parse(ciphertext);
  const w = Point.BASE.multiplyUnsafe(f).subtract(u.multiplyUnsafe(e));
  const wBar = gBar.multiplyUnsafe(f).subtract(uBar.multiplyUnsafe(e));
  if (challenge(c, label, u, w, uBar, wBar) !== e) {
    throw new BridgeError("bad-ciphertext", "the ciphertext's proof does not hold for this label");
  }
}

/** One member's share; the caller has checked the ciphertext. */
export function decryptionShare(secretShare: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  const { u } = parse(ciphertext);
  const x = Fn.fromBytes(secretShare);
  const s = randomScalar();
  const ui = u.multiply(x);
  const e = shareChallenge(u, ui, u.multiply(s), Point.BASE.multiply(s));
  return concat(ui.toBytes(), Fn.toBytes(e), Fn.toBytes(Fn.add(s, Fn.mul(x, e))));
}

/** The share's proof (equality of logarithms, Chaum-Pedersen) against the member's public share key. */
export function checkShare(
  shareKey: Uint8Array,
  ciphertext: Uint8Array,
  share: Uint8Array,
): boolean {
  try {
    const { u } = parse(ciphertext);
    const hi = knownPoint(shareKey);
    const ui = decodePoint(share.subarray(0, 32));
    const e = decodeScalar(share.subarray(32, 64));
    const f = decodeScalar(share.subarray(64, 96));
    if (share.length !== TDH2_SHARE_BYTES) return false;
    const uHat = mulAddUnsafe(Point, [u, ui.negate()], [f, e]);
    const hHat = Point.BASE.multiplyUnsafe(f).subtract(hi.multiplyUnsafe(e));
    return shareChallenge(u, ui, uHat, hHat) === e;
  } catch {
    return false;
  }
}

/**
 * Decrypts with exactly `threshold` checked shares, by member index. Throws `bad-ciphertext` when the result does
 * not open, which checked shares of a checked ciphertext cannot cause.
 */
export function combine(
  shares: ReadonlyMap<number, Uint8Array>,
  ciphertext: Uint8Array,
  label: Uint8Array,
): Uint8Array {
  const { c } = parse(ciphertext);
  const xs = [...shares.keys()].map(BigInt);
  let hr: Point = Point.ZERO;
  for (const [index, share] of shares) {
    hr = hr.add(
      decodePoint(share.subarray(0, 32)).multiplyUnsafe(lagrangeAtZero(BigInt(index), xs)),
    );
  }
  try {
    return cipher(hr, label).decrypt(c);
  } catch (cause) {
    throw new BridgeError("bad-ciphertext", "the shares do not open the ciphertext", { cause });
  }
}

function lagrangeAtZero(x: bigint, xs: readonly bigint[]): bigint {
  let numerator = Fn.ONE;
  let denominator = Fn.ONE;
  for (const other of xs) {
    if (other === x) continue;
    numerator = Fn.mul(numerator, other);
    denominator = Fn.mul(denominator, Fn.sub(other, x));
  }
  return Fn.mul(numerator, Fn.inv(denominator));
}

function cipher(hr: Point, label: Uint8Array): ReturnType<typeof chacha20poly1305> {
  const key = taggedHash("compute-bridge/tdh2-key/v1", hr.toBytes(), label);
  return chacha20poly1305(key, new Uint8Array(12), label); // the key is used once: r is fresh
}

function challenge(c: Uint8Array, label: Uint8Array, ...points: readonly Point[]): bigint {
  return toScalar(
    "compute-bridge/tdh2-proof/v1",
    c,
    label,
    ...points.map((point) => point.toBytes()),
  );
}

function shareChallenge(...points: readonly Point[]): bigint {
  return toScalar("compute-bridge/tdh2-share/v1", ...points.map((point) => point.toBytes()));
}

function toScalar(tag: string, ...fields: readonly Uint8Array[]): bigint {
  return ristretto255_hasher.hashToScalar(lp(...fields), { DST: tag });
}

function parse(ciphertext: Uint8Array): {
  u: Point;
  uBar: Point;
  e: bigint;
  f: bigint;
  c: Uint8Array;
} {
  if (ciphertext.length < TDH2_OVERHEAD_BYTES) {
    throw new BridgeError("bad-ciphertext", "the ciphertext is shorter than its overhead");
  }
  return {
    u: decodePoint(ciphertext.subarray(0, 32)),
    uBar: decodePoint(ciphertext.subarray(32, 64)),
    e: decodeScalar(ciphertext.subarray(64, 96)),
    f: decodeScalar(ciphertext.subarray(96, 128)),
    c: ciphertext.subarray(128),
  };
}

/** A coalition's share keys stand for its life, so each is decoded once and has a table. */
function knownPoint(bytes: Uint8Array): Point {
  const name = toHex(bytes);
  const present = known.get(name);
  if (present !== undefined) return present;
  const point = decodePoint(bytes).precompute(6);
  if (known.size >= SHARE_KEYS_KNOWN_MAX) known.clear();
  known.set(name, point);
  return point;
}

const known = new Map<string, Point>();

/** Canonical, and not the identity. */
function decodePoint(bytes: Uint8Array): Point {
  try {
    const point = Point.fromBytes(bytes);
    if (point.is0()) throw new Error("identity");
    return point;
  } catch (cause) {
    throw new BridgeError("bad-ciphertext", "not a valid group element", { cause });
  }
}

function decodeScalar(bytes: Uint8Array): bigint {
  try {
    const scalar = Fn.fromBytes(bytes); // refuses values at or above the group order
    if (scalar === 0n) throw new Error("zero");
    return scalar;
  } catch (cause) {
    throw new BridgeError("bad-ciphertext", "not a canonical scalar", { cause });
  }
}

function randomScalar(): bigint {
  return Fn.fromBytes(ristretto255_FROST.utils.randomScalar());
}

/** Throws `config-invalid` when a secret share does not belong to the public share key of its member. */
export function checkUnsealShare(shareKey: Uint8Array | undefined, secretShare: Uint8Array): void {
  let ok = false;
  try {
    const point = Point.BASE.multiply(decodeScalar(secretShare));
    ok = shareKey !== undefined && equal(point.toBytes(), shareKey);
  } catch {
    ok = false;
  }
  if (ok) return;
  throw new BridgeError("config-invalid", "the unseal share does not match the coalition's key", {
    fix: "use the share file that was made with this coalition.toml",
  });
}
