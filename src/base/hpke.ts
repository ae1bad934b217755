/**
 * HPKE, RFC 9180, one ciphersuite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, in base and auth
 * mode, one message per encapsulation. On noble, because Bun's node:crypto has no ChaCha20-Poly1305.
 * Sealed bytes are enc (32) followed by the ciphertext with its 16-byte tag.
 */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { expand, extract } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes32, concat, toHex, utf8, zero } from "./bytes.ts";
import { randomSeed } from "./ed25519.ts";
import { BridgeError } from "./errors.ts";

export interface KemKeyPair {
  readonly publicKey: Bytes32;
  readonly privateKey: Bytes32;
}

export interface SealOptions {
  /** Protocol label and context; both sides must know it. */
  readonly info: Uint8Array;
  readonly aad: Uint8Array;
  /** Auth mode: the sender's static key pair. */
  readonly sender?: KemKeyPair;
}

export interface OpenOptions {
  readonly info: Uint8Array;
  readonly aad: Uint8Array;
  /** Auth mode: the sender's public key. */
  readonly senderPublicKey?: Uint8Array;
}

export const HPKE_OVERHEAD_BYTES = 32 + 16;

const VERSION = utf8("HPKE-v1");
const KEM_SUITE = concat(utf8("KEM"), new Uint8Array([0x00, 0x20]));
const SUITE = concat(utf8("HPKE"), new Uint8Array([0x00, 0x20, 0x00, 0x01, 0x00, 0x03]));
const P = 2n ** 255n - 19n;
/** The u-coordinates of all points of order 1, 2, 4 and 8 on the curve and its twist. */
const SMALL_ORDER: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  P - 1n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
]);
const MODE_BASE = 0x00;
const MODE_AUTH = 0x02;

export function kemKeyPair(seed: Uint8Array = randomSeed()): KemKeyPair {
  return { privateKey: seed as Bytes32, publicKey: x25519.getPublicKey(seed) as Bytes32 };
}

/** Throws `malformed` when the recipient's key is of small order. */
export function seal(
  recipient: Uint8Array,
  plaintext: Uint8Array,
  options: SealOptions,
): Uint8Array {
  return sealWithEphemeral(recipient, plaintext, options, kemKeyPair());
}

/** For the RFC's vectors only: everybody else wants a fresh ephemeral key. */
export function sealWithEphemeral(
  recipient: Uint8Array,
  plaintext: Uint8Array,
  options: SealOptions,
  ephemeral: KemKeyPair,
): Uint8Array {
  const dhs = [dh(ephemeral.privateKey, recipient)];
  const kemContext = [ephemeral.publicKey, recipient];
  if (options.sender) {
    dhs.push(dh(options.sender.privateKey, recipient));
    kemContext.push(options.sender.publicKey);
  }
  const mode = options.sender ? MODE_AUTH : MODE_BASE;
  const { key, nonce } = schedule(mode, dhs, kemContext, options.info);
  const ciphertext = chacha20poly1305(key, nonce, options.aad).encrypt(plaintext);
  zero(key, ...dhs);
  return concat(ephemeral.publicKey, ciphertext);
}

/** Throws `cannot-open`: wrong key, wrong context or altered bytes are not told apart. */
export function open(recipient: KemKeyPair, sealed: Uint8Array, options: OpenOptions): Uint8Array {
  if (sealed.length < HPKE_OVERHEAD_BYTES) {
    throw new BridgeError("cannot-open", "the sealed message is shorter than its overhead");
  }
  const enc = sealed.subarray(0, 32);
  try {
    const dhs = [dh(recipient.privateKey, enc)];
    const kemContext = [enc, recipient.publicKey];
    if (options.senderPublicKey) {
      dhs.push(dh(recipient.privateKey, options.senderPublicKey));
      kemContext.push(options.senderPublicKey);
    }
    const mode = options.senderPublicKey ? MODE_AUTH : MODE_BASE;
    const { key, nonce } = schedule(mode, dhs, kemContext, options.info);
    const plaintext = chacha20poly1305(key, nonce, options.aad).decrypt(sealed.subarray(32));
    zero(key, ...dhs);
    return plaintext;
  } catch (cause) {
    throw new BridgeError("cannot-open", "sealed to another key, for another context, or altered", {
      cause,
    });
  }
}

/**
 * False for a key of small order: nothing can be sealed to it, so whoever names one cannot be answered. By comparison,
 * because every node asks it of every request and a multiplication costs thirty times as much.
 */
export function canSealTo(publicKey: Uint8Array): boolean {
  if (publicKey.length !== 32) return false;
  const u = BigInt(`0x${toHex(publicKey.toReversed())}`) & (2n ** 255n - 1n); // RFC 7748 section 5 drops the top bit
  return !SMALL_ORDER.has(u % P);
}

/** A Diffie-Hellman shared secret outside HPKE's own schedule. Throws `malformed` on a small-order key. */
export function dh(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  try {
    return x25519.getSharedSecret(privateKey, publicKey); // refuses an all-zero result (RFC 7748 section 6.1)
  } catch (cause) {
    throw new BridgeError("malformed", "not a usable X25519 public key", { cause });
  }
}

/** RFC 9180 sections 4.1 (ExtractAndExpand) and 5.1 (KeySchedule), psk absent. */
function schedule(
  mode: number,
  dhs: readonly Uint8Array[],
  kemContext: readonly Uint8Array[],
  info: Uint8Array,
): { key: Uint8Array; nonce: Uint8Array } {
  const none = new Uint8Array(0);
  const eaePrk = labeledExtract(KEM_SUITE, none, "eae_prk", concat(...dhs));
  const shared = labeledExpand(KEM_SUITE, eaePrk, "shared_secret", concat(...kemContext), 32);
  const context = concat(
    new Uint8Array([mode]),
    labeledExtract(SUITE, none, "psk_id_hash", none),
    labeledExtract(SUITE, none, "info_hash", info),
  );
  const secret = labeledExtract(SUITE, shared, "secret", none);
  const key = labeledExpand(SUITE, secret, "key", context, 32);
  const nonce = labeledExpand(SUITE, secret, "base_nonce", context, 12);
  zero(eaePrk, shared, secret);
  return { key, nonce };
}

function labeledExtract(
  suite: Uint8Array,
  salt: Uint8Array,
  label: string,
  ikm: Uint8Array,
): Uint8Array {
  return extract(sha256, concat(VERSION, suite, utf8(label), ikm), salt);
}

function labeledExpand(
  suite: Uint8Array,
  prk: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const size = new Uint8Array([length >> 8, length & 0xff]);
  return expand(sha256, prk, concat(size, VERSION, suite, utf8(label), info), length);
}
