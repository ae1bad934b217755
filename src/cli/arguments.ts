/** Reading numbers, durations and choices from the command line; every mistake names its option. */
import { fromHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { HOUR_MS, MINUTE_MS, SECOND_MS } from "../base/limits.ts";
import { parseMicros } from "../config/money.ts";
import type { Values } from "./command.ts";

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: 24 * HOUR_MS,
};

export function integerOption(
  values: Values,
  name: string,
  fallback: number,
  min: number,
  max: number,
): number {
  const text = values.text(name);
  if (text === undefined) return fallback;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw bad(name, text, `a whole number from ${min} to ${max}`);
}

/** `90s`, `15m`, `2h`, `1d`, from `minMs` to `maxMs`. */
export function durationOption(
  values: Values,
  name: string,
  fallbackMs: number,
  [minMs, maxMs]: readonly [number, number],
): number {
  const text = values.text(name);
  if (text === undefined) return fallbackMs;
  const [, count, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  const scale = UNITS[unit ?? ""];
  if (count === undefined || scale === undefined)
    throw bad(name, text, "a duration such as 90s, 15m, 2h or 1d");
  const durationMs = Number(count) * scale;
  if (durationMs >= minMs && durationMs <= maxMs) return durationMs;
  throw bad(name, text, `from ${minMs / SECOND_MS}s to ${maxMs / HOUR_MS}h`);
}

/** So many bytes in lower-case hex. */
export function hexOption(values: Values, name: string, length: number): Uint8Array | undefined {
  const text = values.text(name);
  if (text === undefined) return undefined;
  if (text.length === 2 * length && /^[0-9a-f]*$/.test(text)) return fromHex(text, `--${name}`);
  throw bad(name, text, `${2 * length} lower-case hex digits`);
}

export function choiceOption<const T extends readonly string[]>(
  values: Values,
  name: string,
  choices: T,
  fallback: T[number],
): T[number] {
  const text = values.text(name);
  if (text === undefined) return fallback;
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw bad(name, text, `one of ${choices.join(", ")}`);
  return found;
}

export function moneyOption(values: Values, name: string, fallbackMicros: number): number {
  const text = values.text(name);
  if (text === undefined) return fallbackMicros;
  try {
    return parseMicros(text);
  } catch (cause) {
    throw new BridgeError("bad-argument", `--${name} ${text}: not an amount`, {
      cause,
      fix: "write a decimal number with at most 6 decimals, such as 0.25",
    });
  }
}

/** What `check` makes of an option's text; its refusal becomes a `bad-argument` that names the option. */
export function checkedOption<T>(name: string, text: string, check: (text: string) => T): T {
  try {
    return check(text);
  } catch (error) {
    if (!(error instanceof BridgeError)) throw error;
    const { message, fix } = error;
    throw new BridgeError(
      "bad-argument",
      `--${name}: ${message}`,
      fix === undefined ? {} : { fix },
    );
  }
}

function bad(name: string, text: string, expected: string): BridgeError {
  return new BridgeError("bad-argument", `--${name} ${JSON.stringify(text)} is not ${expected}`);
}
