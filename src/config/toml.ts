/**
 * TOML 1.0.0 from untrusted bytes: bounded in size and depth, UTF-8 only, and every later complaint about a value
 * can say on which line it stands.
 */
import type { TSchema } from "@sinclair/typebox";
import { parse, TomlError } from "smol-toml";
import { fromUtf8 } from "../base/bytes.ts";
import { CONFIG_BYTES_MAX, CONFIG_DEPTH_MAX } from "../base/limits.ts";
import type { Static } from "../base/schema.ts";
import { decodeDocument } from "./decode.ts";
import { pathText } from "./describe.ts";
import { type KeyPath, locate, type Spot, spotKey } from "./locate.ts";
import { ConfigError } from "./problem.ts";

/** Tables have no prototype. Integers beyond what a number holds exactly are bigints, dates are Dates. */
export type TomlTable = { readonly [key: string]: unknown };

export interface TomlDocument {
  /** The name that reports use. */
  readonly file: string;
  readonly table: TomlTable;
  /** The line of a key, or of the nearest table around it that stands in the file; undefined for the root. */
  lineOf(path: KeyPath): number | undefined;
  /** How the file spells a number, date or boolean. */
  textOf(path: KeyPath): string | undefined;
  /** The whole document as a schema's type. Throws a ConfigError with every mismatch and its line. */
  decode<S extends TSchema>(schema: S): Static<S>;
}

/** Throws a ConfigError: too large, not UTF-8, a syntax error (with line and column), nested too deeply. */
export function parseToml(input: string | Uint8Array, file: string): TomlDocument {
  const text = typeof input === "string" ? boundedText(input, file) : decodeText(input, file);
  const table = parseText(text, file);
  const spots = locate(text);
  checkDepth(spots, file);
  const lineOf = (path: KeyPath): number | undefined => {
    for (let length = path.length; length > 0; length -= 1) {
      const spot = spots.get(spotKey(path.slice(0, length)));
      if (spot !== undefined) return spot.line;
    }
    return undefined;
  };
  const document: TomlDocument = {
    file,
    table,
    lineOf,
    textOf: (path) => spots.get(spotKey(path))?.text,
    decode: (schema) => decodeDocument(document, schema),
  };
  return document;
}

function parseText(text: string, file: string): TomlTable {
  try {
    return parse(text, { maxDepth: CONFIG_DEPTH_MAX, integersAsBigInt: "asNeeded" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The parser's own message goes on with the lines around the error, which may hold what no report may show.
    const reason = error.message.split("\n")[0]?.replace("Invalid TOML document: ", "") ?? "";
    throw fault(
      file,
      error.line,
      `is not TOML: ${reason}, at column ${error.column}`,
      "correct the line; text needs quotes, and a key or [table] may stand only once",
    );
  }
}

function checkDepth(spots: ReadonlyMap<string, Spot>, file: string): void {
  for (const [key, spot] of spots) {
    const path: KeyPath = JSON.parse(key);
    if (path.length <= CONFIG_DEPTH_MAX) continue;
    throw fault(
      file,
      spot.line,
      `${pathText(path.slice(0, 2))}… is nested deeper than ${CONFIG_DEPTH_MAX} levels`,
      "remove it; no known key lies that deep",
    );
  }
}

function decodeText(bytes: Uint8Array, file: string): string {
  if (bytes.length > CONFIG_BYTES_MAX) throw tooLarge(file, bytes.length);
  try {
    return fromUtf8(bytes);
  } catch {
    throw fault(
      file,
      firstBadLine(bytes),
      "is not UTF-8 text",
      "save the file as UTF-8, or name the right file",
    );
  }
}

function boundedText(text: string, file: string): string {
  if (text.length > CONFIG_BYTES_MAX) throw tooLarge(file, text.length);
  return text;
}

/** A line end is never part of a longer sequence in UTF-8, so the lines can be tried one by one. */
function firstBadLine(bytes: Uint8Array): number | undefined {
  let line = 1;
  for (let start = 0; start <= bytes.length; line += 1) {
    const end = bytes.indexOf(0x0a, start);
    try {
      fromUtf8(bytes.subarray(start, end < 0 ? bytes.length : end));
    } catch {
      return line;
    }
    if (end < 0) return undefined;
    start = end + 1;
  }
  return undefined;
}

function tooLarge(file: string, size: number): ConfigError {
  return fault(
    file,
    undefined,
    `has ${size} bytes, at most ${CONFIG_BYTES_MAX} are read`,
    "name the right file; a full configuration has about 3 KiB",
  );
}

function fault(file: string, line: number | undefined, message: string, fix: string): ConfigError {
  return new ConfigError(file, [
    { path: "", origin: { from: "file", file, line }, line, message, fix },
  ]);
}
