/**
 * The one encoding for everything that is hashed or signed: deterministic CBOR in the DAG-CBOR profile
 * (RFC 8949 section 4.2.1, IPLD DAG-CBOR), narrowed further: no floats, no tags, no indefinite lengths.
 * Bytes whose re-encoding differs are refused, so a value has exactly one encoding and a signature cannot
 * be carried over to another one.
 */
import { decode, encode } from "@ipld/dag-cbor";
import { compare } from "./bytes.ts";
import { BridgeError } from "./errors.ts";
import { CBOR_DEPTH_MAX } from "./limits.ts";

/** What canonical CBOR can carry. Numbers are safe integers. */
export type Canonical =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Canonical[]
  | { readonly [key: string]: Canonical };

/**
 * Throws `malformed` for a float, an unsafe integer, a bigint, `undefined`, a lone surrogate or anything but
 * plain objects, arrays and Uint8Array; `too-deep` for deep or circular values.
 */
export function encodeCanonical(value: unknown): Uint8Array {
  try {
    checkValue(value);
    const bytes = encode(value);
    checkStructure(bytes);
    return bytes;
  } catch (cause) {
    if (cause instanceof BridgeError) throw cause;
    throw new BridgeError("malformed", "the value has no canonical encoding", { cause });
  }
}

/**
 * Decodes untrusted bytes. Throws `too-large`, `too-deep`, `malformed` or `not-canonical`; the depth is
 * checked before the recursive decoder sees anything.
 */
export function decodeCanonical(bytes: Uint8Array, bytesMax: number): Canonical {
  if (bytes.length > bytesMax) {
    throw new BridgeError("too-large", `${bytes.length} bytes, at most ${bytesMax} are accepted`);
  }
  checkStructure(bytes);
  let value: Canonical;
  let again: Uint8Array;
  try {
    value = decode<Canonical>(bytes);
    again = encode(value);
  } catch (cause) {
    throw new BridgeError("malformed", "not a CBOR value of the accepted profile", { cause });
  }
  if (compare(bytes, again) !== 0) {
    throw new BridgeError(
      "not-canonical",
      "the value has another, shorter or differently ordered encoding",
    );
  }
  return value;
}

/** Refuses what the encoder would quietly turn into something else: two values must never share an encoding. */
function checkValue(root: unknown): void {
  const pending = [{ value: root, depth: 0 }];
  for (let item = pending.pop(); item !== undefined; item = pending.pop()) {
    const { value, depth } = item;
    if (typeof value === "bigint" || (typeof value === "string" && !value.isWellFormed())) {
      throw new BridgeError("malformed", "a bigint or a lone surrogate has no canonical encoding");
    }
    if (typeof value !== "object" || value === null || value instanceof Uint8Array) continue;
    if (depth >= CBOR_DEPTH_MAX) {
      throw new BridgeError("too-deep", `nested deeper than ${CBOR_DEPTH_MAX} levels`);
    }
    for (const child of childrenOf(value)) pending.push({ value: child, depth: depth + 1 });
  }
}

/** Elements, or keys and values. */
function childrenOf(container: object): readonly unknown[] {
  if (Array.isArray(container)) return container;
  const prototype: unknown = Object.getPrototypeOf(container);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new BridgeError("malformed", "only plain objects have a canonical encoding");
  }
  return Object.entries(container).flat();
}

/** One pass without recursion over the item heads: bounds, depth, and the excluded major types. */
function checkStructure(bytes: Uint8Array): void {
  const remaining: number[] = [1];
  let offset = 0;
  while (remaining.length > 0) {
    const top = remaining.length - 1;
    const left = remaining[top] ?? 0;
    if (left === 0) {
      remaining.pop();
      continue;
    }
    remaining[top] = left - 1;
    const head = readHead(bytes, offset);
    offset = head.next;
    if (head.major === 2 || head.major === 3) {
      offset += head.value;
      if (offset > bytes.length) throw new BridgeError("malformed", "a string runs past the end");
    } else if (head.major === 4 || head.major === 5) {
      if (remaining.length > CBOR_DEPTH_MAX) {
        throw new BridgeError("too-deep", `nested deeper than ${CBOR_DEPTH_MAX} levels`);
      }
      const items = head.major === 5 ? head.value * 2 : head.value;
      if (items > bytes.length - offset)
        throw new BridgeError("malformed", "a list runs past the end");
      remaining.push(items);
    }
  }
  if (offset !== bytes.length) throw new BridgeError("malformed", "bytes follow the value");
}

function readHead(
  bytes: Uint8Array,
  offset: number,
): { major: number; value: number; next: number } {
  const first = bytes[offset];
  if (first === undefined) throw new BridgeError("malformed", "the value ends too early");
  const major = first >> 5;
  const info = first & 31;
  if (major === 6) throw new BridgeError("malformed", "CBOR tags are not accepted");
  if (major === 7) {
    if (info !== 20 && info !== 21 && info !== 22) {
      throw new BridgeError("malformed", "floats and special values are not accepted");
    }
    return { major, value: 0, next: offset + 1 };
  }
  if (info < 24) return { major, value: info, next: offset + 1 };
  const width = info === 24 ? 1 : info === 25 ? 2 : info === 26 ? 4 : info === 27 ? 8 : 0;
  if (width === 0 || offset + 1 + width > bytes.length) {
    throw new BridgeError("malformed", "a length is cut off or indefinite");
  }
  let value = 0;
  for (let i = 1; i <= width; i += 1) value = value * 256 + (bytes[offset + i] ?? 0);
  if (value < (width === 1 ? 24 : 256 ** (width / 2)))
    throw new BridgeError("not-canonical", "an integer or a length has a shorter encoding");
  // Major type 1 stands for -1 - value, which must be safe too: the decoder would answer with a bigint.
  if (!Number.isSafeInteger(major === 1 ? -1 - value : value))
    throw new BridgeError("malformed", "an integer is out of range");
  return { major, value, next: offset + 1 + width };
}
