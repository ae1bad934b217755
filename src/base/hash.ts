/**
 * Hashing: blake3-256 over length-prefixed fields, so that no two field lists share an input. `tag` names the
 * thing hashed and its version, `compute-bridge/<thing>/v1` (DESIGN section 4).
 */
import { createHash } from "node:crypto";
import { blake3 } from "@noble/hashes/blake3.js";
import { type Bytes32, concat, u32be, utf8 } from "./bytes.ts";

export type Tag = `compute-bridge/${string}/v${number}`;

/** `lp(a, b, …)`: a big-endian 4-byte length before every field. */
export function lp(...fields: readonly (Uint8Array | string)[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const field of fields) {
    const bytes = typeof field === "string" ? utf8(field) : field;
    parts.push(u32be(bytes.length), bytes);
  }
  return concat(...parts);
}

/** blake3(lp(tag, field, …)), 32 bytes. */
export function taggedHash(tag: Tag, ...fields: readonly (Uint8Array | string)[]): Bytes32 {
  return blake3(lp(tag, ...fields)) as Bytes32;
}

/** Native SHA-256 for bulk and per-message work that never leaves this process or one connection. */
export function sha256(...parts: readonly Uint8Array[]): Bytes32 {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest()) as Bytes32;
}
