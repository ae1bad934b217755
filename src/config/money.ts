/**
 * Money is counted in whole millionths of the coalition's currency and is read from decimal text without passing
 * through a float: 0.1 is 100000 micros exactly, on every machine.
 */
import { BridgeError } from "../base/errors.ts";
import { HOUR_MS, MONEY_MICROS_MAX } from "../base/limits.ts";

const MICROS = 1_000_000;

/** "12.5" is 12500000. Throws `malformed` for a sign, an exponent, a seventh decimal, or more than a billion. */
export function parseMicros(text: string): number {
  const [, whole, fraction = ""] = /^(\d{1,16})(?:\.(\d+))?$/.exec(text) ?? [];
  if (whole === undefined || (whole.length > 1 && whole.startsWith("0"))) {
    const reason = /^-/.test(text) ? "is negative" : "is not a plain decimal such as 12.5";
    throw new BridgeError("malformed", reason);
  }
  if (fraction.length > 6) throw new BridgeError("malformed", "has more than 6 decimals");
  const micros = BigInt(whole) * BigInt(MICROS) + BigInt(fraction.padEnd(6, "0"));
  if (micros > BigInt(MONEY_MICROS_MAX)) {
    throw new BridgeError("malformed", `is above ${formatMicros(MONEY_MICROS_MAX)}`);
  }
  return Number(micros);
}

/** The shortest text that `parseMicros` reads back as the same amount. */
export function formatMicros(micros: number | bigint): string {
  const amount = BigInt(micros);
  const fraction = String(amount % BigInt(MICROS))
    .padStart(6, "0")
    .replace(/0+$/, "");
  return `${amount / BigInt(MICROS)}${fraction === "" ? "" : `.${fraction}`}`;
}

/** What a machine costs for that long, rounded up: a reserve must never fall short. */
export function costMicros(pricePerHourMicros: number, durationMs: number): bigint {
  const hour = BigInt(HOUR_MS);
  return (BigInt(pricePerHourMicros) * BigInt(durationMs) + hour - 1n) / hour;
}
