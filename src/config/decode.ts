/** A TOML document as a schema's type, for files that have no other source than themselves. */
import type { TSchema } from "@sinclair/typebox";
import { type ValueError, ValueErrorType } from "@sinclair/typebox/compiler";
import { codec, type Static } from "../base/schema.ts";
import { describeValue, expectation, pathText } from "./describe.ts";
import type { KeyPath } from "./locate.ts";
import { collectProblems } from "./problem.ts";
import { nearest } from "./suggest.ts";
import type { TomlDocument } from "./toml.ts";

/** Throws a ConfigError with every mismatch, each at its line. */
export function decodeDocument<S extends TSchema>(document: TomlDocument, schema: S): Static<S> {
  const { file, table } = document;
  const { check, errors } = codec(schema, file);
  const problems = collectProblems(file);
  const seen = new Set<string>();
  for (const error of errors(table)) {
    // The checker reports one value under several rules; the first is the most telling.
    if (seen.has(error.path)) continue;
    seen.add(error.path);
    const path = pathOf(error.path, table);
    const { message, fix } = explainMismatch(error, path, document);
    problems.add({ from: "file", file, line: document.lineOf(path) }, pathText(path), message, fix);
    if (problems.full()) break;
  }
  problems.throwIfAny();
  return check(table);
}

function explainMismatch(
  error: ValueError,
  path: KeyPath,
  document: TomlDocument,
): { message: string; fix: string } {
  if (error.type === ValueErrorType.ObjectAdditionalProperties) {
    const known = Object.keys(error.schema.properties ?? {});
    const meant = nearest(String(path.at(-1)), known);
    const fix = meant === undefined ? `known are ${known.join(", ")}` : `did you mean ${meant}?`;
    return { message: "is not a known key", fix };
  }
  const wanted = expectation(error.schema);
  if (error.type === ValueErrorType.ObjectRequiredProperty) {
    return { message: "is required and not set", fix: `set it to ${wanted}` };
  }
  const found = describeValue(error.value, document.textOf(path));
  return { message: `must be ${wanted}, it is ${found}`, fix: "correct the value" };
}

/** An RFC 6901 pointer as a path; a number is a position only where the document has a list. */
function pathOf(pointer: string, table: unknown): KeyPath {
  const path: (string | number)[] = [];
  let node: unknown = table;
  for (const part of pointer.split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    path.push(Array.isArray(node) ? Number(key) : key);
    node = typeof node === "object" && node !== null ? Reflect.get(node, key) : undefined;
  }
  return path;
}
