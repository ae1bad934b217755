/**
 * TDH2 as Shoup and Gennaro write it (section 5.2 of the paper: encryption, decryption servers, combining), over the
 * plain ristretto255 next door. Only the hashes' input format and the payload cipher follow the program, because the
 * paper leaves both open.
 */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { concat } from "../../src/base/bytes.ts";
import { lp, taggedHash } from "../../src/base/hash.ts";
import {
  add,
  BASE,
  decode,
  type Element,
  encode,
  hashToElement,
  hashToScalar,
  IDENTITY,
  invert,
  ORDER,
  scalarBytes,
  scalarOf,
  times,
} from "./ristretto-reference.ts";

const G_BAR_TAG = "compute-bridge/tdh2-generator/v1";
export const gBar = hashToElement(lp(G_BAR_TAG), G_BAR_TAG);

const mod = (value: bigint): bigint => ((value % ORDER) + ORDER) % ORDER;
const bytesOf = (elements: readonly Element[]): Uint8Array[] => elements.map(encode);

/** H1: c, label, u, w, ū, w̄ to a scalar. */
function h1(c: Uint8Array, label: Uint8Array, ...elements: readonly Element[]): bigint {
  return hashToScalar(lp(c, label, ...bytesOf(elements)), "compute-bridge/tdh2-proof/v1");
}

/** H2: u, u_i, û_i, ĥ_i to a scalar. */
function h2(...elements: readonly Element[]): bigint {
  return hashToScalar(lp(...bytesOf(elements)), "compute-bridge/tdh2-share/v1");
}

function cipher(hr: Element, label: Uint8Array) {
  const key = taggedHash("compute-bridge/tdh2-key/v1", encode(hr), label);
  return chacha20poly1305(key, new Uint8Array(12), label);
}

export function publicKey(x: bigint): Uint8Array {
  return encode(times(BASE, x));
}

export function encrypt(
  h: Uint8Array,
  message: Uint8Array,
  label: Uint8Array,
  r: bigint,
  s: bigint,
): Uint8Array {
  const c = cipher(times(decode(h), r), label).encrypt(message);
  const [u, w, uBar, wBar] = [times(BASE, r), times(BASE, s), times(gBar, r), times(gBar, s)];
  const e = h1(c, label, u, w, uBar, wBar);
  return concat(encode(u), encode(uBar), scalarBytes(e), scalarBytes(mod(s + r * e)), c);
}

interface Parts {
  readonly u: Element;
  readonly uBar: Element;
  readonly e: bigint;
  readonly f: bigint;
  readonly c: Uint8Array;
}

export function parts(ciphertext: Uint8Array): Parts {
  return {
    u: decode(ciphertext.subarray(0, 32)),
    uBar: decode(ciphertext.subarray(32, 64)),
    e: scalarOf(ciphertext.subarray(64, 96)),
    f: scalarOf(ciphertext.subarray(96, 128)),
    c: ciphertext.subarray(128),
  };
}

/** e = H1(c, L, u, w, ū, w̄) with w = g^f / u^e and w̄ = ḡ^f / ū^e. */
export function isValid(ciphertext: Uint8Array, label: Uint8Array): boolean {
  const { u, uBar, e, f, c } = parts(ciphertext);
  const w = add(times(BASE, f), times(u, mod(-e)));
  const wBar = add(times(gBar, f), times(uBar, mod(-e)));
  return h1(c, label, u, w, uBar, wBar) === e;
}

export function share(x: bigint, ciphertext: Uint8Array, s: bigint): Uint8Array {
  const { u } = parts(ciphertext);
  const ui = times(u, x);
  const e = h2(u, ui, times(u, s), times(BASE, s));
  return concat(encode(ui), scalarBytes(e), scalarBytes(mod(s + x * e)));
}

/** e_i = H2(u, u_i, û_i, ĥ_i) with û_i = u^f / u_i^e and ĥ_i = g^f / h_i^e. */
export function shareIsValid(hi: Uint8Array, ciphertext: Uint8Array, of: Uint8Array): boolean {
  const { u } = parts(ciphertext);
  const ui = decode(of.subarray(0, 32));
  const [e, f] = [scalarOf(of.subarray(32, 64)), scalarOf(of.subarray(64, 96))];
  const uHat = add(times(u, f), times(ui, mod(-e)));
  const hHat = add(times(BASE, f), times(decode(hi), mod(-e)));
  return h2(u, ui, uHat, hHat) === e;
}

export function combine(
  shares: ReadonlyMap<number, Uint8Array>,
  ciphertext: Uint8Array,
  label: Uint8Array,
): Uint8Array {
  let hr = IDENTITY;
  for (const [i, of] of shares) {
    let lambda = 1n;
    for (const j of shares.keys()) {
      if (j !== i) lambda = mod(lambda * BigInt(j) * invert(mod(BigInt(j - i)), ORDER));
    }
    hr = add(hr, times(decode(of.subarray(0, 32)), lambda));
  }
  return cipher(hr, label).decrypt(parts(ciphertext).c);
}

/** Values of a polynomial with the secret at 0, by index. */
export function deal(coefficients: readonly bigint[], members: number): Map<number, bigint> {
  const at = (x: bigint): bigint => coefficients.reduceRight((sum, a) => mod(sum * x + a), 0n);
  return new Map(Array.from({ length: members }, (_, i) => [i + 1, at(BigInt(i + 1))]));
}
