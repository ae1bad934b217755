/**
 * One setting is a TypeBox schema of its effective value plus notes: how it is written in a file, what a report says
 * it must be, and an example. Text and numbers mean themselves; the other kinds are turned into their value on reading.
 */
import { type TObject, type TSchema, TypeGuard } from "@sinclair/typebox";
import {
  CONFIG_LIST_MAX,
  CONFIG_TEXT_CHARS_MAX,
  MONEY_MICROS_MAX,
  NAME_BYTES_MAX,
} from "../base/limits.ts";
import { integer, oneOf, type Static, strictObject, Type } from "../base/schema.ts";

/**
 * - name: a Name of `base/names`
 * - path: relative to the file it stands in, or to the working directory for a variable or a flag
 * - secret: only ever a reference
 * - money: decimal text or a plain decimal number, becomes whole micros; its property ends in `Micros`
 */
export type Written =
  | "integer"
  | "boolean"
  | "text"
  | "name"
  | "path"
  | "secret"
  | "money"
  | "ports"
  | "listen"
  | "announce";

interface Notes {
  readonly written: Written;
  readonly expects: string;
  /** A value as the file would spell it, for the advice in a report. */
  readonly sample: string;
}

/** A value as a file could spell it. */
export type WrittenValue = string | number | boolean | readonly (string | number)[];

/** A schema with its notes. */
export type Setting = TSchema & Notes;

/** A setting at its place. */
export interface Field {
  /** As written: `["limits", "spendPerDay"]`. */
  readonly path: readonly string[];
  /** Its property in the effective configuration: `["limits", "spendPerDayMicros"]`. */
  readonly target: readonly string[];
  readonly setting: Setting;
  readonly required: boolean;
}

const SecretRefSchema = Type.Union([
  strictObject({ from: Type.Literal("file"), path: Type.String() }),
  strictObject({ from: Type.Literal("env"), name: Type.String() }),
]);
/** Where a secret is kept: an absolute path, or a variable's name. */
export type SecretRef = Static<typeof SecretRefSchema>;

export function setting<S extends TSchema>(
  schema: S,
  notes: Notes,
  fallback?: Static<S>,
): S & Notes {
  return { ...schema, ...notes, ...(fallback === undefined ? {} : { default: fallback }) };
}

export function whole(minimum: number, maximum: number, sample: string, fallback?: number) {
  const expects = `a whole number from ${minimum} to ${maximum}`;
  return setting(integer(minimum, maximum), { written: "integer", expects, sample }, fallback);
}

export function yesNo(fallback: boolean) {
  const notes: Notes = { written: "boolean", expects: "true or false", sample: String(fallback) };
  return setting(Type.Boolean(), notes, fallback);
}

export function text(charsMax: number, fallback: string) {
  const notes: Notes = {
    written: "text",
    expects: `text of at most ${charsMax} characters`,
    sample: '"…"',
  };
  return setting(Type.String({ maxLength: charsMax }), notes, fallback);
}

export function choice<const T extends readonly [string, ...string[]]>(
  values: T,
  fallback?: T[number],
) {
  const notes: Notes = {
    written: "text",
    expects: `one of ${values.join(", ")}`,
    sample: JSON.stringify(fallback ?? values[0]),
  };
  return setting(oneOf(values), notes, fallback);
}

export function hash() {
  const notes: Notes = {
    written: "text",
    expects: "64 lower-case hex characters",
    sample: '"0123…cdef"',
  };
  return setting(Type.String({ pattern: "^[0-9a-f]{64}$" }), notes);
}

export function name(sample: string, fallback?: string) {
  const expects = `a name of at most ${NAME_BYTES_MAX} bytes`;
  const notes: Notes = { written: "name", expects, sample: JSON.stringify(sample) };
  return setting(Type.String(), notes, fallback);
}

export function path(sample: string) {
  const notes: Notes = { written: "path", expects: "a path", sample: JSON.stringify(sample) };
  return setting(Type.String({ minLength: 1, maxLength: CONFIG_TEXT_CHARS_MAX }), notes);
}

export function secret(sample: string) {
  const notes: Notes = {
    written: "secret",
    expects: 'a reference to a secret, "file:PATH" or "env:NAME"',
    sample: JSON.stringify(sample),
  };
  return setting(SecretRefSchema, notes);
}

export function money(sample: string, fallbackMicros?: number) {
  const notes: Notes = { written: "money", expects: "an amount such as 12.50", sample };
  return setting(integer(0, MONEY_MICROS_MAX), notes, fallbackMicros);
}

export function addresses(
  written: "listen" | "announce",
  sample: string,
  fallback: readonly string[],
) {
  const minItems = written === "listen" ? 1 : 0;
  const notes: Notes = {
    written,
    expects: `a list of ${minItems} to ${CONFIG_LIST_MAX} addresses`,
    sample: JSON.stringify([sample]),
  };
  const list = Type.Array(Type.String(), { minItems, maxItems: CONFIG_LIST_MAX });
  return setting(list, notes, [...fallback]);
}

export function ports() {
  const notes: Notes = {
    written: "ports",
    expects: "a list of the lowest and the highest port",
    sample: "[42000, 42099]",
  };
  const port = integer(1, 65_535);
  return setting(Type.Tuple([port, port]), notes);
}

/** The settings of a schema's sections, in order; what is neither a section nor a setting is left to the caller. */
export function fieldsOf(schema: TObject, path: readonly string[] = []): Field[] {
  return Object.entries(schema.properties).flatMap(([property, child]) => {
    if (isSetting(child)) {
      const key = child.written === "money" ? property.replace(/Micros$/, "") : property;
      const required = child.default === undefined && schema.required?.includes(property) === true;
      return [{ path: [...path, key], target: [...path, property], setting: child, required }];
    }
    return TypeGuard.IsObject(child) ? fieldsOf(child, [...path, property]) : [];
  });
}

function isSetting(schema: TSchema): schema is Setting {
  return "written" in schema;
}
