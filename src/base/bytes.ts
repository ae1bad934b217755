/**
 * Bytes and their two branded lengths. Ids and blake3 hashes have 32 bytes, TDX registers have 48
 * (SHA-384); the brands keep the compiler from ever comparing one with the other.
 */
import { timingSafeEqual } from "node:crypto";
import { BridgeError } from "./errors.ts";

declare const length: unique symbol;
export type Bytes32 = Uint8Array & { readonly [length]: 32 };
export type Register48 = Uint8Array & { readonly [length]: 48 };

export function bytes32(bytes: Uint8Array, what = "value"): Bytes32 {
  if (bytes.length !== 32) throw wrongLength(what, 32, bytes.length);
  return bytes as Bytes32;
}

export function register48(bytes: Uint8Array, what = "register"): Register48 {
  if (bytes.length !== 48) throw wrongLength(what, 48, bytes.length);
  return bytes as Register48;
}

function wrongLength(what: string, expected: number, actual: number): BridgeError {
  return new BridgeError("malformed", `${what} must have ${expected} bytes, it has ${actual}`);
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** Lower-case hex only, so that one value has one spelling. Throws `malformed`. */
export function fromHex(text: string, what = "value"): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) {
    throw new BridgeError("malformed", `${what} is not lower-case hex`);
  }
  return new Uint8Array(Buffer.from(text, "hex"));
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Constant time in the contents; lengths are public. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Byte-wise order, shorter first on a common prefix. For sorting public values. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function fromUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

export function u32be(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

export function u64be(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/** Best effort: the runtime may have made copies, but the one we hold is gone. */
export function zero(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
