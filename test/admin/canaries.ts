/** Values that must never leave, and a search for them in every spelling somebody could have chosen. */
import { must } from "../../src/base/assert.ts";

export interface Canary {
  readonly name: string;
  readonly value: Uint8Array | string;
}

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
/** Half of a short id already tells two grants apart: a beginning of this many characters counts as found. */
const PREFIX_CHARS = 12;

/** Names of the canaries that the text holds, whole or in part, as `name (spelling)`. */
export function findCanaries(text: string, canaries: readonly Canary[]): string[] {
  const lower = text.toLowerCase();
  return canaries.flatMap(({ name, value }) =>
    Object.entries(spellings(value))
      .filter(([spelling, spelt]) => {
        const part = spelling === "text" ? spelt : spelt.slice(0, PREFIX_CHARS);
        return part.length > 2 && lower.includes(part.toLowerCase());
      })
      .map(([spelling]) => `${name} (${spelling})`),
  );
}

function spellings(value: Uint8Array | string): Record<string, string> {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  const all = Buffer.from(bytes);
  return {
    ...(typeof value === "string" ? { text: value } : { decimals: bytes.join(",") }),
    hex: all.toString("hex"),
    base64: all.toString("base64"),
    base64url: all.toString("base64url"),
    base58: base58(bytes),
    base32: base32(bytes),
    // A middle part: an id inside something longer that was encoded as a whole.
    tail: all.subarray(-8).toString("hex"),
  };
}

function base58(bytes: Uint8Array): string {
  let number = BigInt(`0x${Buffer.from(bytes).toString("hex") || "0"}`);
  let text = "";
  for (; number > 0n; number /= 58n) text = must(BASE58[Number(number % 58n)], "a digit") + text;
  for (const byte of bytes) {
    if (byte !== 0) break;
    text = `1${text}`;
  }
  return text;
}

function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{1,5}/g) ?? [])
    .map((five) => BASE32[Number.parseInt(five.padEnd(5, "0"), 2)] ?? "")
    .join("");
}
