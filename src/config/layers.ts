/**
 * Where values come from: the file, over it the environment, over that the flags. Every setting has one variable,
 * COMPUTE_BRIDGE_ and its path in upper snake case (`limits.spendPerDay` is COMPUTE_BRIDGE_LIMITS_SPEND_PER_DAY), and
 * one flag, `--set limits.spendPerDay=20`. Lists are separated by commas there. The format version belongs to the file.
 */
import { pathText, quote } from "./describe.ts";
import type { Origin, Problems } from "./problem.ts";
import type { Given } from "./read.ts";
import type { Environment } from "./secrets.ts";
import type { Field } from "./setting.ts";
import { nearest } from "./suggest.ts";
import type { TomlDocument } from "./toml.ts";

export const ENV_PREFIX = "COMPUTE_BRIDGE_";

export interface Flag {
  readonly path: readonly string[];
  readonly text: string;
  readonly origin: Origin;
}

export interface Layers {
  readonly document: TomlDocument;
  readonly fileDirectory: string;
  readonly env: Environment;
  /** By dotted path; of two for one key the later one counts. */
  readonly flags: ReadonlyMap<string, Flag>;
  readonly workingDirectory: string;
}

export interface Found extends Given {
  readonly origin: Origin;
}

/** `["admin", "port"]` is COMPUTE_BRIDGE_ADMIN_PORT. */
export function envName(path: readonly string[]): string {
  const words = path.map((part) => part.replace(/([A-Z])/g, "_$1").replaceAll("-", "_"));
  return ENV_PREFIX + words.join("_").toUpperCase();
}

/** The value of the strongest layer that has one. */
export function findValue(layers: Layers, field: Field): Found | undefined {
  const { path } = field;
  const fromText = (value: string, origin: Origin): Found => ({
    value,
    origin,
    spelling: undefined,
    isText: true,
    directory: layers.workingDirectory,
  });
  if (isOverridable(field)) {
    const flag = layers.flags.get(path.join("."));
    if (flag !== undefined) return fromText(flag.text, flag.origin);
    const name = envName(path);
    const variable = layers.env[name];
    if (variable !== undefined) return fromText(variable, { from: "env", name });
  }
  const value = valueAt(layers.document.table, path);
  if (value === undefined) return undefined;
  return {
    value,
    origin: fileOrigin(layers.document, path),
    spelling: layers.document.textOf(path),
    isText: false,
    directory: layers.fileDirectory,
  };
}

export function isOverridable(field: Field): boolean {
  return field.path.join(".") !== "version";
}

export function fileOrigin(document: TomlDocument, path: readonly (string | number)[]): Origin {
  return { from: "file", file: document.file, line: document.lineOf(path) };
}

/** undefined also when something on the way is no table; that is reported where unknown keys are. */
export function valueAt(table: unknown, path: readonly string[]): unknown {
  let node = table;
  for (const key of path) {
    if (!isTable(node) || !Object.hasOwn(node, key)) return undefined;
    node = node[key];
  }
  return node;
}

export function isTable(value: unknown): value is { readonly [key: string]: unknown } {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}

/** `section.key=value`, each as given to one `--set`. */
export function parseFlags(flags: readonly string[], problems: Problems): Map<string, Flag> {
  const parsed = new Map<string, Flag>();
  for (const flag of flags) {
    const [, key, text] = /^([^=]+)=(.*)$/s.exec(flag) ?? [];
    if (key === undefined || text === undefined) {
      // Not repeated: it may be the value alone, and that may be a secret.
      const fix = "write --set section.key=value";
      problems.add({ from: "flag", key: "…" }, "", "has no section.key before a =", fix);
      continue;
    }
    const path = key.trim().split(".");
    parsed.set(path.join("."), { path, text, origin: { from: "flag", key: pathText(path) } });
  }
  return parsed;
}

/** Reports variables with our prefix that override nothing: a misspelt override must not be silently ignored. */
export function checkVariables(
  env: Environment,
  known: readonly string[],
  isForeign: (name: string) => boolean,
  problems: Problems,
): void {
  for (const name of Object.keys(env).toSorted()) {
    if (!name.startsWith(ENV_PREFIX) || known.includes(name) || isForeign(name)) continue;
    const meant = nearest(name.slice(ENV_PREFIX.length), known.map(withoutPrefix));
    const fix = meant === undefined ? "unset it" : `did you mean ${ENV_PREFIX}${meant}?`;
    problems.add({ from: "env", name: shown(name) }, "", "overrides no known setting", fix);
  }
}

function withoutPrefix(name: string): string {
  return name.slice(ENV_PREFIX.length);
}

function shown(name: string): string {
  return /^[A-Z0-9_]{1,128}$/.test(name) ? name : quote(name);
}

/** Reports flags for keys that do not exist; `judged` holds the backends that are reported as a whole. */
export function checkFlags(
  flags: ReadonlyMap<string, Flag>,
  fields: readonly Field[],
  judged: ReadonlySet<string>,
  problems: Problems,
): void {
  const known = fields.filter(isOverridable).map((field) => field.path.join("."));
  for (const [key, flag] of flags) {
    const [section, name = ""] = flag.path;
    if (known.includes(key) || (section === "backends" && judged.has(name))) continue;
    const meant = nearest(key, known);
    const fix =
      meant === undefined ? "see config show for all keys" : `did you mean --set ${meant}=…?`;
    problems.add(flag.origin, pathText(flag.path), "is not a known key", fix);
  }
}
