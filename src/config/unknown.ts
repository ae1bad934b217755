/** Keys in the file that mean nothing: refused, because a misspelt limit that is ignored is no limit. */
import { pathText } from "./describe.ts";
import { fileOrigin, isTable } from "./layers.ts";
import type { Problems } from "./problem.ts";
import type { Field } from "./setting.ts";
import { nearest } from "./suggest.ts";
import type { TomlDocument } from "./toml.ts";

export interface Known {
  readonly fields: readonly Field[];
  /** Top-level tables that may be empty. */
  readonly sections: readonly string[];
  /** Names of backends that are reported as a whole. */
  readonly judged: ReadonlySet<string>;
}

/** Also reports a section that is no table. */
export function checkKeys(
  document: TomlDocument,
  { fields, sections, judged }: Known,
  problems: Problems,
): void {
  const paths = [...fields.map((field) => field.path), ...sections.map((name) => [name, ""])];
  const waiting: string[][] = [[]];
  for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
    const table = tableAt(document.table, at);
    const known = knownKeys(paths, at);
    for (const key of Object.keys(table)) {
      const path = [...at, key];
      if (problems.full()) return;
      if (at[0] === "backends" && at.length === 1 && judged.has(key)) continue;
      if (!known.has(key)) {
        const fix = adviceFor(key, at, known, paths);
        problems.add(fileOrigin(document, path), pathText(path), "is not a known key", fix);
      } else if (known.get(key) === "section") {
        if (isTable(table[key])) waiting.push(path);
        else reportNoTable(document, path, problems);
      }
    }
  }
}

function reportNoTable(document: TomlDocument, path: readonly string[], problems: Problems): void {
  const fix =
    path[0] === "backends"
      ? "write one table [backends.NAME] for each backend"
      : `write [${pathText(path)}] and its keys below`;
  problems.add(fileOrigin(document, path), pathText(path), "must be a table", fix);
}

/** What may stand directly under `at`. */
function knownKeys(
  paths: readonly (readonly string[])[],
  at: readonly string[],
): Map<string, "section" | "setting"> {
  const known = new Map<string, "section" | "setting">();
  for (const path of paths) {
    const key = path[at.length];
    if (key === undefined || key === "" || !at.every((part, i) => path[i] === part)) continue;
    known.set(key, path.length === at.length + 1 ? "setting" : "section");
  }
  return known;
}

function adviceFor(
  key: string,
  at: readonly string[],
  known: ReadonlyMap<string, string>,
  paths: readonly (readonly string[])[],
): string {
  const meant = nearest(key, [...known.keys()]);
  if (meant !== undefined) return `did you mean ${meant}?`;
  const elsewhere = paths.find((path) => path.at(-1) === key);
  if (elsewhere !== undefined) return `did you mean ${pathText(elsewhere)}?`;
  const where = at.length === 0 ? "a file" : `[${pathText(at)}]`;
  return `remove it; ${where} may hold ${[...known.keys()].join(", ")}`;
}

function tableAt(root: unknown, path: readonly string[]): { readonly [key: string]: unknown } {
  let node = root;
  for (const key of path) node = isTable(node) ? node[key] : undefined;
  return isTable(node) ? node : {};
}
