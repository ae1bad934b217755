/**
 * The rules of DESIGN section 3 as a pure function over sources: who may import whom, no cycles between folders,
 * sizes, and the few globals that have one home.
 */
import { dirname, join } from "node:path";
import { type FileFacts, readFacts, type Sources } from "./facts.ts";

/** A folder imports only from base and from folders above it, or from itself. */
const FOLDERS = [
  "base",
  "config",
  "attestation",
  "network",
  "coalition",
  "zipnet",
  "ledger",
  "fleet",
  "receipt",
  "watch",
  "stages",
  "admin",
  "appliance",
  "cli",
];
const FILE_LINES_MAX = 300;
const FUNCTION_LINES_MAX = 70;
/** The one file outside src and image that may be imported: it holds the version. */
const SHARED_FILES = ["package.json"];

export interface Violation {
  readonly rule:
    | "back-edge"
    | "cycle"
    | "outside"
    | "unknown-folder"
    | "computed-import"
    | "long-file"
    | "long-function"
    | "default-export"
    | "environment"
    | "randomness";
  /** `path:line`, or the path alone where no line is to blame. */
  readonly where: string;
  readonly what: string;
}

/** `sources` are the files of src and image by path; the result is empty when every rule holds. */
export async function checkArchitecture(sources: Sources): Promise<Violation[]> {
  const facts = await readFacts(sources);
  return [...facts.flatMap(checkFile), ...findCycles(facts)];
}

function checkFile(file: FileFacts): Violation[] {
  const found: Violation[] = [];
  const add = (rule: Violation["rule"], line: number, what: string): void => {
    found.push({ rule, where: `${file.path}:${line}`, what });
  };
  const area = areaOf(file.path);
  if (area.kind === "folder" && !FOLDERS.includes(area.name)) {
    add("unknown-folder", 1, `src/${area.name} is not in the order of folders`);
  }
  for (const { specifier, line } of file.imports) {
    const fault = importFault(file.path, specifier);
    if (fault !== undefined) add(fault.rule, line, fault.what);
  }
  for (const { line } of file.computedImports) {
    add("computed-import", line, "the path of an import is a plain string");
  }
  if (file.lines > FILE_LINES_MAX) {
    add("long-file", file.lines, `${file.lines} lines, at most ${FILE_LINES_MAX}`);
  }
  for (const { name, lines, line } of file.functions) {
    if (lines <= FUNCTION_LINES_MAX) continue;
    add("long-function", line, `${name} has ${lines} lines, at most ${FUNCTION_LINES_MAX}`);
  }
  for (const { line } of file.defaultExports) add("default-export", line, "exports have names");
  for (const { what, line } of file.uses) {
    if (what === "Math.random") {
      if (file.path !== "src/base/clock.ts")
        add("randomness", line, `${what} outside base/clock.ts`);
    } else if (!mayReadEnvironment(file.path)) {
      add("environment", line, `${what} outside config, cli and main.ts`);
    }
  }
  return found;
}

function mayReadEnvironment(path: string): boolean {
  return /^src\/(config|cli)\//.test(path) || path === "src/main.ts" || path.startsWith("image/");
}

type Area =
  | { readonly kind: "folder"; readonly name: string }
  | { readonly kind: "root" | "image" | "shared" | "outside" };

function areaOf(path: string): Area {
  const [top, folder, ...rest] = path.split("/");
  if (top === "image") return { kind: "image" };
  if (SHARED_FILES.includes(path)) return { kind: "shared" };
  if (top !== "src" || folder === undefined) return { kind: "outside" };
  return rest.length === 0 ? { kind: "root" } : { kind: "folder", name: folder };
}

/** What is wrong with `from` importing `specifier`; undefined when nothing is. Packages are always fine. */
function importFault(
  from: string,
  specifier: string,
): { rule: Violation["rule"]; what: string } | undefined {
  if (specifier.startsWith("/") || specifier.startsWith("file:")) {
    return { rule: "outside", what: `${specifier} is a path of one machine` };
  }
  if (!specifier.startsWith(".")) return undefined;
  const target = join(dirname(from), specifier);
  const [source, goal] = [areaOf(from), areaOf(target)];
  if (goal.kind === "outside")
    return { rule: "outside", what: `${target} is not part of the program` };
  const seesAll = source.kind !== "folder" || source.name === "cli";
  if (seesAll || goal.kind === "shared") return undefined;
  const allowed =
    goal.kind === "folder" && FOLDERS.indexOf(goal.name) <= FOLDERS.indexOf(source.name);
  return allowed ? undefined : { rule: "back-edge", what: `src/${source.name} imports ${target}` };
}

/** Groups of files that import each other in a circle and lie in more than one folder (Tarjan 1972). */
function findCycles(facts: readonly FileFacts[]): Violation[] {
  const known = new Set(facts.map((file) => file.path));
  const edges = new Map(
    facts.map((file) => [
      file.path,
      file.imports
        .filter(({ specifier }) => specifier.startsWith("."))
        .map(({ specifier }) => join(dirname(file.path), specifier))
        .filter((target) => known.has(target)),
    ]),
  );
  return circles(edges)
    .filter((files) => new Set(files.map((file) => dirname(file).split("/")[1] ?? "")).size > 1)
    .map((files) => ({
      rule: "cycle",
      where: files.toSorted()[0] ?? "",
      what: `a circle of imports: ${files.toSorted().join(", ")}`,
    }));
}

function circles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): void => {
    order.set(node, order.size);
    lowest.set(node, order.get(node) ?? 0);
    stack.push(node);
    for (const next of edges.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      else if (!stack.includes(next)) continue;
      lowest.set(node, Math.min(lowest.get(node) ?? 0, lowest.get(next) ?? 0));
    }
    if (lowest.get(node) !== order.get(node)) return;
    const circle = stack.splice(stack.indexOf(node));
    if (circle.length > 1) found.push(circle);
  };
  for (const node of edges.keys()) if (!order.has(node)) visit(node);
  return found;
}
