/**
 * ristretto255 straight from RFC 9496 section 4, in BigInt, slow and plain, sharing no code with the library that the
 * program uses; and RFC 9380 section 5.3.1 (expand_message_xmd) for hashing to scalars and elements.
 */
import { createHash } from "node:crypto";
import { concat, fromHex, utf8 } from "../../src/base/bytes.ts";

export const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const P = 2n ** 255n - 19n;
const mod = (value: bigint, of = P): bigint => ((value % of) + of) % of;

function power(base: bigint, exponent: bigint, of = P): bigint {
  let result = 1n;
  for (let b = mod(base, of), e = exponent; e > 0n; e >>= 1n, b = (b * b) % of) {
    if (e & 1n) result = (result * b) % of;
  }
  return result;
}

export function invert(value: bigint, of: bigint): bigint {
  return power(value, of - 2n, of);
}

// Section 4.1; the two roots are even and odd as printed there.
const D = mod(-121665n * invert(121666n, P));
const SQRT_M1 = power(2n, (P - 1n) / 4n);
const SQRT_AD_MINUS_ONE =
  25063068953384623474111414158702152701244531502492656460079210482610430750235n;
const INVSQRT_A_MINUS_D =
  54469307008909316920995813868745141605393597292927456921205312896311721017578n;

const isNegative = (value: bigint): boolean => (mod(value) & 1n) === 1n;
const absolute = (value: bigint): bigint => (isNegative(value) ? mod(-value) : mod(value));

/** SQRT_RATIO_M1, section 4.2. */
function sqrtRatio(u: bigint, v: bigint): { square: boolean; root: bigint } {
  const root = mod(u * v ** 3n * power(mod(u * v ** 7n), (P - 5n) / 8n));
  const check = mod(v * root * root);
  const flipped = check === mod(-u);
  const flippedI = check === mod(-u * SQRT_M1);
  const chosen = flipped || flippedI ? mod(root * SQRT_M1) : root;
  return { square: check === mod(u) || flipped, root: absolute(chosen) };
}

/** Extended coordinates of a point that stands for the element. */
export interface Element {
  readonly x: bigint;
  readonly y: bigint;
  readonly z: bigint;
  readonly t: bigint;
}

export const IDENTITY: Element = { x: 0n, y: 1n, z: 1n, t: 0n };

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

export function scalarBytes(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

export function scalarOf(bytes: Uint8Array): bigint {
  const value = littleEndian(bytes);
  if (bytes.length !== 32 || value >= ORDER) throw new Error("not a canonical scalar");
  return value;
}

/** Section 4.3.1. */
export function decode(bytes: Uint8Array): Element {
  const s = littleEndian(bytes);
  if (bytes.length !== 32 || s >= P || isNegative(s)) throw new Error("not canonical");
  const u1 = mod(1n - s * s);
  const u2 = mod(1n + s * s);
  const v = mod(-(D * u1 * u1) - u2 * u2);
  const { square, root } = sqrtRatio(1n, mod(v * u2 * u2));
  const denX = mod(root * u2);
  const x = absolute(2n * s * denX);
  const y = mod(u1 * root * denX * v);
  const t = mod(x * y);
  if (!square || isNegative(t) || y === 0n) throw new Error("no element");
  return { x, y, z: 1n, t };
}

/** Section 4.3.2. */
export function encode({ x, y, z, t }: Element): Uint8Array {
  const u1 = mod((z + y) * (z - y));
  const u2 = mod(x * y);
  const { root } = sqrtRatio(1n, mod(u1 * u2 * u2));
  const den1 = mod(root * u1);
  const den2 = mod(root * u2);
  const zInverse = mod(den1 * den2 * t);
  const rotate = isNegative(t * zInverse);
  const rotatedX = rotate ? mod(y * SQRT_M1) : x;
  const rotatedY = rotate ? mod(x * SQRT_M1) : y;
  const denInverse = rotate ? mod(den1 * INVSQRT_A_MINUS_D) : den2;
  const signedY = isNegative(rotatedX * zInverse) ? mod(-rotatedY) : rotatedY;
  return scalarBytes(absolute(denInverse * (z - signedY)));
}

/** Edwards addition for a = -1, complete (Hisil et al. 2008, section 3.1). */
export function add(p: Element, q: Element): Element {
  const a = mod((p.y - p.x) * (q.y - q.x));
  const b = mod((p.y + p.x) * (q.y + q.x));
  const c = mod(2n * D * p.t * q.t);
  const d = mod(2n * p.z * q.z);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return { x: mod(e * f), y: mod(g * h), t: mod(e * h), z: mod(f * g) };
}

export function times(p: Element, scalar: bigint): Element {
  let sum = IDENTITY;
  for (let q = p, k = mod(scalar, ORDER); k > 0n; k >>= 1n, q = add(q, q)) {
    if (k & 1n) sum = add(sum, q);
  }
  return sum;
}

export const BASE = decode(
  fromHex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"),
);

/** MAP of section 4.3.4. */
function map(bytes: Uint8Array): Element {
  const t = mod(littleEndian(bytes) & (2n ** 255n - 1n));
  const r = mod(SQRT_M1 * t * t);
  const u = mod((r + 1n) * (1n - D * D));
  const v = mod((-1n - r * D) * (r + D));
  const { square, root } = sqrtRatio(u, v);
  const s = square ? root : mod(-absolute(root * t));
  const c = square ? mod(-1n) : r;
  const n = mod(c * (r - 1n) * (D - 1n) ** 2n - v);
  const [w0, w1, w2, w3] = [2n * s * v, n * SQRT_AD_MINUS_ONE, 1n - s * s, 1n + s * s];
  return { x: mod(w0 * w3), y: mod(w2 * w1), z: mod(w1 * w3), t: mod(w0 * w2) };
}

/** expand_message_xmd with SHA-512 for 64 bytes: one block. */
function expand(message: Uint8Array, tag: string): Uint8Array {
  const sha512 = (bytes: Uint8Array) => new Uint8Array(createHash("sha512").update(bytes).digest());
  const dst = concat(utf8(tag), Uint8Array.of(utf8(tag).length));
  const b0 = sha512(concat(new Uint8Array(128), message, Uint8Array.of(0, 64, 0), dst));
  return sha512(concat(b0, Uint8Array.of(1), dst));
}

export function hashToScalar(message: Uint8Array, tag: string): bigint {
  return littleEndian(expand(message, tag)) % ORDER;
}

export function hashToElement(message: Uint8Array, tag: string): Element {
  const bytes = expand(message, tag);
  return add(map(bytes.subarray(0, 32)), map(bytes.subarray(32)));
}
