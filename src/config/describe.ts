/** How reports speak of keys, of wrong values and of what a schema wants. */
import type { TSchema } from "@sinclair/typebox";
import { CONFIG_QUOTE_CHARS_MAX } from "../base/limits.ts";
import type { KeyPath } from "./locate.ts";

const HEX_PATTERN = /^\^\[0-9a-f\]\{(\d+)\}\$$/;

/** Quoted, cut to a bound, and without anything a terminal would act on. */
export function quote(text: string): string {
  const cut =
    text.length > CONFIG_QUOTE_CHARS_MAX ? `${text.slice(0, CONFIG_QUOTE_CHARS_MAX)}…` : text;
  return JSON.stringify(cut).replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`,
  );
}

/** `backends.local.portRange[1]`; a key that is not a bare TOML key is quoted. */
export function pathText(path: KeyPath): string {
  return path
    .map((part) => {
      if (typeof part === "number") return `[${part}]`;
      return /^[A-Za-z0-9_-]{1,64}$/.test(part) ? `.${part}` : `.${quote(part)}`;
    })
    .join("")
    .replace(/^\./, "");
}

/** What stands there. `written` is the value as the file spells it, where that says more. */
export function describeValue(value: unknown, written?: string): string {
  if (typeof value === "string") return value === "" ? "empty" : `the text ${quote(value)}`;
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number" || typeof value === "bigint") {
    return `the number ${quote(written ?? String(value)).slice(1, -1)}`;
  }
  if (value instanceof Date) return `the date ${quote(written ?? String(value)).slice(1, -1)}`;
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  return typeof value === "object" && value !== null ? "a table" : "nothing";
}

/** What a schema wants, in words. A schema may say it itself with the annotation `expects`. */
export function expectation(schema: TSchema): string {
  if (typeof schema.expects === "string") return schema.expects;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (Array.isArray(schema.anyOf)) {
    return `one of ${schema.anyOf.map((option: TSchema) => option.const ?? "…").join(", ")}`;
  }
  switch (schema.type) {
    case "integer":
      return `a whole number${range(schema.minimum, schema.maximum)}`;
    case "boolean":
      return "true or false";
    case "array":
      return `a list${range(schema.minItems, schema.maxItems, " entries")}`;
    case "object":
      return "a table";
    case "string":
      if (HEX_PATTERN.test(schema.pattern)) {
        return `${HEX_PATTERN.exec(schema.pattern)?.[1]} lower-case hex characters`;
      }
      return schema.pattern === undefined
        ? `text${range(schema.minLength, schema.maxLength, " characters")}`
        : `text that matches ${schema.pattern}`;
    default:
      return "another value";
  }
}

function range(minimum: unknown, maximum: unknown, unit = ""): string {
  const least = typeof minimum === "number" ? minimum : undefined;
  const most =
    typeof maximum === "number" && maximum !== Number.MAX_SAFE_INTEGER ? maximum : undefined;
  const by = unit === "" ? "" : " of";
  if (least !== undefined && most !== undefined) {
    return unit === "" ? ` from ${least} to ${most}` : `${by} ${least} to ${most}${unit}`;
  }
  if (least !== undefined) return `${by} at least ${least}${unit}`;
  if (most !== undefined) return `${by} at most ${most}${unit}`;
  return "";
}
