/**
 * Ed25519 (RFC 8032). One `verify` for every record in the system: node:crypto and noble disagree on hundreds
 * of edge cases, and two verifiers in one network would split what its nodes accept. Before node:crypto is
 * asked, small-order A and R and a non-canonical S are refused, so a signature binds one key and one message.
 */
import {
  createPrivateKey,
  createPublicKey,
  sign as nodeSign,
  verify as nodeVerify,
} from "node:crypto";
import { type Bytes32, bytes32, concat, fromHex, toHex } from "./bytes.ts";

export interface SigningKey {
  readonly publicKey: Bytes32;
  sign(message: Uint8Array): Uint8Array;
}

const PKCS8_PREFIX = fromHex("302e020100300506032b657004220420"); // RFC 8410 section 7
const SPKI_PREFIX = fromHex("302a300506032b6570032100"); // RFC 8410 section 4

export const SIGNATURE_BYTES = 64;

export function signingKey(seed: Uint8Array): SigningKey {
  const key = createPrivateKey({
    key: Buffer.from(concat(PKCS8_PREFIX, bytes32(seed, "ed25519 seed"))),
    format: "der",
    type: "pkcs8",
  });
  const publicKey = new Uint8Array(
    createPublicKey(key).export({ format: "der", type: "spki" }).subarray(SPKI_PREFIX.length),
  ) as Bytes32;
  return { publicKey, sign: (message) => new Uint8Array(nodeSign(null, message, key)) };
}

/** From the one source that noble draws from, too. */
export function randomSeed(): Bytes32 {
  return crypto.getRandomValues(new Uint8Array(32)) as Bytes32;
}

/** Never throws: bytes that are no key or no signature simply do not verify. */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== SIGNATURE_BYTES) return false;
  if (hasSmallOrder(publicKey) || hasSmallOrder(signature.subarray(0, 32))) return false;
  if (!isCanonicalScalar(signature.subarray(32))) return false;
  try {
    const key = createPublicKey({
      key: Buffer.from(concat(SPKI_PREFIX, publicKey)),
      format: "der",
      type: "spki",
    });
    return nodeVerify(null, message, key, signature);
  } catch {
    return false;
  }
}

/**
 * y coordinates of the eight points of order 1, 2, 4 and 8, little endian, sign bit cleared, and the two
 * non-canonical spellings p and p + 1 (the list libsodium keeps in its ge25519_has_small_order).
 */
const SMALL_ORDER = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

/** Whether 32 bytes decode, in any spelling, to a point of order 1, 2, 4 or 8. */
export function hasSmallOrder(point: Uint8Array): boolean {
  const cleared = point.slice();
  cleared[31] = (cleared[31] ?? 0) & 0x7f;
  return SMALL_ORDER.has(toHex(cleared));
}

const GROUP_ORDER = fromHex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");

/** S < L, little endian (RFC 8032 section 5.1.7 step 1). */
function isCanonicalScalar(scalar: Uint8Array): boolean {
  for (let i = 31; i >= 0; i -= 1) {
    const digit = scalar[i] ?? 0;
    const limit = GROUP_ORDER[i] ?? 0;
    if (digit !== limit) return digit < limit;
  }
  return false;
}
