/** One written value as its effective value, or what is wrong with it. */
import { resolve } from "node:path";
import { BridgeError } from "../base/errors.ts";
import { checkName } from "../base/names.ts";
import { codec } from "../base/schema.ts";
import { parseAnnounceAddress, parseListenAddress } from "./address.ts";
import { describeValue } from "./describe.ts";
import { formatMicros, parseMicros } from "./money.ts";
import { parseSecretRef, secretRefText } from "./secrets.ts";
import type { SecretRef, Setting, Written, WrittenValue } from "./setting.ts";

/** A value as it was found: in the file, or as the text of a variable or a flag. */
export interface Given {
  readonly value: unknown;
  /** How the file spells a number or a date; money is read from this and never from a float. */
  readonly spelling: string | undefined;
  readonly isText: boolean;
  /** What relative paths are relative to. */
  readonly directory: string;
}

export type Reading =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string; readonly fix: string; readonly entry?: number };

const SECRET_FIX =
  'put the secret alone into a file, chmod 600, and write "file:PATH" here; or write "env:NAME"';

export function readSetting(key: string, setting: Setting, given: Given): Reading {
  const value = given.isText ? fromText(setting.written, String(given.value)) : given.value;
  const converted = convert(key, setting, value, given);
  if (!converted.ok) return converted;
  const mismatch = codec(setting, key).errors(converted.value).First();
  return mismatch === undefined ? converted : mismatched(key, setting, value, given);
}

/** The settings that hold more than their text; the rest is judged by the schema alone. */
function convert(key: string, setting: Setting, value: unknown, given: Given): Reading {
  const { written } = setting;
  if (written === "listen" || written === "announce") {
    return Array.isArray(value)
      ? readAddresses(written, value)
      : mismatched(key, setting, value, given);
  }
  if (written === "money") return readMoney(key, setting, value, given);
  if (written !== "name" && written !== "path" && written !== "secret") return { ok: true, value };
  if (typeof value !== "string" || value === "") return mismatched(key, setting, value, given);
  try {
    if (written === "name") return { ok: true, value: checkName(value, "the name") };
    if (written === "secret") return { ok: true, value: parseSecretRef(value, given.directory) };
    return value.includes("\0")
      ? mismatched(key, setting, value, given)
      : { ok: true, value: resolve(given.directory, value) };
  } catch (error) {
    const fix = written === "secret" ? SECRET_FIX : undefined;
    return refused(error, fix ?? example(key, setting, given.isText));
  }
}

function readMoney(key: string, setting: Setting, value: unknown, given: Given): Reading {
  const isNumber = typeof value === "number" || typeof value === "bigint";
  if (!isNumber && typeof value !== "string") return mismatched(key, setting, value, given);
  // TOML allows 1_000.5; decimal text does not.
  const text = isNumber ? (given.spelling ?? String(value)).replaceAll("_", "") : String(value);
  try {
    return { ok: true, value: parseMicros(text) };
  } catch (error) {
    const reason = error instanceof BridgeError ? error.message : String(error);
    return {
      ok: false,
      message: `must be ${setting.expects}; ${describeValue(value, given.spelling)} ${reason}`,
      fix: example(key, setting, given.isText),
    };
  }
}

function readAddresses(role: "listen" | "announce", entries: readonly unknown[]): Reading {
  const parse = role === "listen" ? parseListenAddress : parseAnnounceAddress;
  const example =
    role === "listen"
      ? "such as /ip4/0.0.0.0/tcp/4701"
      : "such as /dns4/provider.example.org/tcp/4701";
  const seen = new Set<string>();
  for (const [entry, value] of entries.entries()) {
    const fix = `write an address ${example}`;
    if (typeof value !== "string") {
      return { ok: false, message: `holds ${describeValue(value)}, not an address`, fix, entry };
    }
    try {
      const address = parse(value).text;
      if (seen.has(address)) {
        return { ok: false, message: `names ${address} twice`, fix: "remove one of them", entry };
      }
      seen.add(address);
    } catch (error) {
      return { ...refused(error, fix, "cannot use "), entry };
    }
  }
  return { ok: true, value: [...seen] };
}

/** A variable's or a flag's text as the value a file would hold. What does not fit stays text and is refused as such. */
function fromText(written: Written, text: string): unknown {
  switch (written) {
    case "integer":
      return /^[+-]?\d{1,15}$/.test(text) ? Number(text) : text;
    case "boolean":
      return text === "true" ? true : text === "false" ? false : text;
    case "ports":
      return splitList(text).map((port) => (/^\d{1,5}$/.test(port) ? Number(port) : port));
    case "listen":
    case "announce":
      return splitList(text);
    default:
      return text;
  }
}

function splitList(text: string): string[] {
  return text === "" ? [] : text.split(",").map((entry) => entry.trim());
}

function mismatched(key: string, setting: Setting, value: unknown, given: Given): Reading {
  if (setting.written === "secret") {
    return { ok: false, message: `must be ${setting.expects}`, fix: SECRET_FIX };
  }
  const found = describeValue(value, given.spelling);
  return {
    ok: false,
    message: `must be ${setting.expects}, it is ${found}`,
    fix: example(key, setting, given.isText),
  };
}

function refused(error: unknown, fix: string, prefix = ""): Reading & { ok: false } {
  if (!(error instanceof BridgeError)) throw error;
  return { ok: false, message: `${prefix}${error.message}`, fix: error.fix ?? fix };
}

/** `for example port = 4780`, or for a variable or a flag `for example 4780`. */
function example(key: string, setting: Setting, isText = false): string {
  const sample = isText ? setting.sample.replace(/["[\]]/g, "") : `${key} = ${setting.sample}`;
  return `for example ${sample}`;
}

/** The effective value as a file would spell it: text, number, boolean or list. Secrets stay references. */
export function writtenValue(setting: Setting, value: unknown): WrittenValue {
  if (setting.written === "money") return formatMicros(value as number);
  if (setting.written === "secret") return secretRefText(value as SecretRef);
  return value as WrittenValue;
}
