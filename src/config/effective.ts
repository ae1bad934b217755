/** Every setting's effective value and its origin: the layers applied to the fields of a schema. */
import { BridgeError } from "../base/errors.ts";
import { pathText } from "./describe.ts";
import {
  checkFlags,
  checkVariables,
  envName,
  fileOrigin,
  findValue,
  isOverridable,
  isTable,
  type Layers,
  parseFlags,
  valueAt,
} from "./layers.ts";
import { collectProblems, type Origin, type Problems } from "./problem.ts";
import { readSetting, writtenValue } from "./read.ts";
import type { Environment } from "./secrets.ts";
import type { Field, SecretRef, WrittenValue } from "./setting.ts";
import { parseToml } from "./toml.ts";
import { checkKeys } from "./unknown.ts";

/** A configuration's text and where its relative paths start. */
export interface ConfigSource {
  /** What reports call it. */
  readonly name: string;
  /** Absolute. */
  readonly directory: string;
  readonly text: string | Uint8Array;
}

export interface LoadOptions {
  /** Usually `process.env`. */
  readonly env?: Environment;
  /** The arguments of every `--set`, in order. */
  readonly flags?: readonly string[];
  /** What relative paths in variables and flags are relative to; the process's own by default. */
  readonly workingDirectory?: string;
  /** Variables with our prefix that belong to something else than the configuration. */
  readonly foreignEnv?: readonly string[];
}

/** One effective value. */
export interface EffectiveSetting {
  /** As written in a file. */
  readonly path: readonly string[];
  /** As a file could spell it; a secret is its reference. */
  readonly value: WrittenValue;
  readonly origin: Origin;
}

/** What a kind of configuration consists of. */
export interface Shape {
  readonly fields: readonly Field[];
  /** Top-level tables that may be empty. */
  readonly sections: readonly string[];
  /** Fields that only the given values can tell. */
  readonly moreFields: (layers: Layers, problems: Problems) => MoreFields;
  /** Variables that other kinds of configuration read. */
  readonly isForeign: (name: string) => boolean;
}

export interface MoreFields {
  readonly fields: readonly Field[];
  /** Names of backends that are reported as a whole; nothing in them is judged again. */
  readonly judged: ReadonlySet<string>;
}

/** Nested by the fields' targets. */
export type Tree = { [key: string]: unknown };

export interface Effective {
  readonly tree: Tree;
  readonly settings: readonly EffectiveSetting[];
}

/** Throws a ConfigError with everything that is wrong. */
export function effectiveSettings(
  source: ConfigSource,
  options: LoadOptions,
  shape: Shape,
): Effective {
  const problems = collectProblems(source.name);
  const layers: Layers = {
    document: parseToml(source.text, source.name),
    fileDirectory: source.directory,
    env: options.env ?? {},
    flags: parseFlags(options.flags ?? [], problems),
    workingDirectory: options.workingDirectory ?? process.cwd(),
  };
  const more = shape.moreFields(layers, problems);
  const fields = [...shape.fields, ...more.fields];
  checkKeys(layers.document, { fields, sections: shape.sections, judged: more.judged }, problems);
  checkFlags(layers.flags, fields, more.judged, problems);
  const { tree, settings, secretVariables } = readFields(layers, fields, problems);
  const foreign = new Set([...secretVariables, ...(options.foreignEnv ?? [])]);
  const judged = [...more.judged].map((name) => `${envName(["backends", name])}_`);
  const names = fields.filter(isOverridable).map((field) => envName(field.path));
  const isForeign = (name: string): boolean =>
    shape.isForeign(name) || foreign.has(name) || judged.some((prefix) => name.startsWith(prefix));
  checkVariables(layers.env, names, isForeign, problems);
  problems.throwIfAny();
  return { tree, settings };
}

function readFields(
  layers: Layers,
  fields: readonly Field[],
  problems: Problems,
): Effective & { readonly secretVariables: readonly string[] } {
  const tree: Tree = {};
  const settings: EffectiveSetting[] = [];
  const secretVariables: string[] = [];
  for (const field of fields) {
    const { path, setting } = field;
    const effective = readField(layers, field, problems);
    if (effective === undefined) continue;
    assign(tree, field.target, effective.value);
    const value = writtenValue(setting, effective.value);
    settings.push({ path, value, origin: effective.origin });
    if (setting.written !== "secret") continue;
    const ref = effective.value as SecretRef;
    if (ref.from === "env") secretVariables.push(ref.name);
  }
  return { tree, settings, secretVariables };
}

/** undefined when there is no value, or none that can be used: then a problem was added, unless it is optional. */
function readField(
  layers: Layers,
  field: Field,
  problems: Problems,
): { readonly value: unknown; readonly origin: Origin } | undefined {
  const { path, setting } = field;
  const key = path.at(-1) ?? "";
  const found = findValue(layers, field);
  if (found === undefined) {
    if (setting.default !== undefined) {
      return { value: setting.default, origin: { from: "default" } };
    }
    if (field.required && !isInsideNoTable(layers, path)) {
      const table = path.length > 1 ? ` under [${pathText(path.slice(0, -1))}]` : " at the top";
      const fix = `write ${key} = ${setting.sample}${table}`;
      const origin = fileOrigin(layers.document, path);
      problems.add(origin, pathText(path), "is required and not set", fix);
    }
    return undefined;
  }
  const reading = readSetting(key, setting, found);
  if (reading.ok) return { value: reading.value, origin: found.origin };
  const origin =
    found.origin.from === "file" && reading.entry !== undefined
      ? fileOrigin(layers.document, [...path, reading.entry])
      : found.origin;
  problems.add(origin, pathText(path), reading.message, reading.fix);
  return undefined;
}

/** A section that is no table is a problem of its own; its keys are not missing as well. */
function isInsideNoTable(layers: Layers, path: readonly string[]): boolean {
  return path.some((_, length) => {
    const outer = valueAt(layers.document.table, path.slice(0, length));
    return length > 0 && outer !== undefined && !isTable(outer);
  });
}

function assign(tree: Tree, target: readonly string[], value: unknown): void {
  let node = tree;
  for (const key of target.slice(0, -1)) {
    node[key] ??= {};
    const next = node[key];
    if (!isTable(next)) throw new BridgeError("invariant", "two settings share a place");
    node = next as Tree;
  }
  node[target.at(-1) ?? ""] = value;
}
