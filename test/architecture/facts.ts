/**
 * What the architecture rules need to know of a source file, read from TypeScript's own syntax tree. Nothing is
 * type checked or resolved; the sources are handed over in memory, so planted ones work like real ones.
 */
import {
  type Expression,
  isArrowFunction,
  isBindingElement,
  isCallExpression,
  isConstructorDeclaration,
  isElementAccessExpression,
  isExportAssignment,
  isExportSpecifier,
  isFunctionDeclaration,
  isFunctionExpression,
  isGetAccessorDeclaration,
  isImportSpecifier,
  isMethodDeclaration,
  isNewExpression,
  isNoSubstitutionTemplateLiteral,
  isPropertyAccessExpression,
  isPropertyAssignment,
  isSetAccessorDeclaration,
  isStringLiteral,
  isVariableDeclaration,
  type Node,
  type SourceFile,
  SyntaxKind,
} from "typescript/unstable/ast";
import { API } from "typescript/unstable/async";
import { createVirtualFileSystem } from "typescript/unstable/fs";

export type Sources = Readonly<Record<string, string>>;

export interface Place {
  readonly line: number;
}

export interface FileFacts {
  readonly path: string;
  readonly lines: number;
  /** Every module a file names: import, export from, import(), import types, require(), new URL(…, import.meta.url). */
  readonly imports: readonly (Place & { readonly specifier: string })[];
  /** An import() or require() whose argument is not a plain string. */
  readonly computedImports: readonly Place[];
  /** `lines` are a function's own: named functions inside it count for themselves, callbacks count as its own. */
  readonly functions: readonly (Place & { readonly name: string; readonly lines: number })[];
  readonly defaultExports: readonly Place[];
  /** `object.property` for the pairs in WATCHED, however spelt. */
  readonly uses: readonly (Place & { readonly what: string })[];
}

const WATCHED = ["process.env", "Bun.env", "import.meta.env", "Math.random"];
const ROOT = "/project";

/** Facts of all `sources`, by path relative to the project. */
export async function readFacts(sources: Sources): Promise<FileFacts[]> {
  const config = JSON.stringify({
    compilerOptions: { noLib: true, noResolve: true, types: [], allowImportingTsExtensions: true },
    files: Object.keys(sources),
  });
  const files: Record<string, string> = { [`${ROOT}/tsconfig.json`]: config };
  for (const [path, text] of Object.entries(sources)) files[`${ROOT}/${path}`] = text;
  const api = new API({ cwd: ROOT, fs: createVirtualFileSystem(files) });
  try {
    const snapshot = await api.updateSnapshot({ openProjects: [`${ROOT}/tsconfig.json`] });
    const project = snapshot.getProject(`${ROOT}/tsconfig.json`);
    const facts: FileFacts[] = [];
    for (const path of Object.keys(sources)) {
      const file = await project?.program.getSourceFile(`${ROOT}/${path}`);
      if (file === undefined) throw new Error(`${path} was not parsed`);
      facts.push(factsOf(path, file));
    }
    return facts;
  } finally {
    await api.close();
  }
}

function factsOf(path: string, file: SourceFile): FileFacts {
  const facts = {
    path,
    lines: file.text.split("\n").length - (file.text.endsWith("\n") ? 1 : 0),
    imports: [] as (Place & { specifier: string })[],
    computedImports: [] as Place[],
    functions: [] as (Place & { name: string; lines: number })[],
    defaultExports: [] as Place[],
    uses: [] as (Place & { what: string })[],
  };
  const at = (node: Node): Place => ({ line: lineAt(file, node.getStart(file)) });
  for (const named of file.imports) {
    const specifier = plainText(named);
    if (specifier !== undefined) facts.imports.push({ specifier, ...at(named) });
  }
  const visit = (node: Node): void => {
    const loaded = loadedModule(node, file);
    if (loaded === "computed") facts.computedImports.push(at(node));
    else if (loaded !== undefined) facts.imports.push({ specifier: loaded, ...at(node) });
    if (isFunction(node)) {
      const lines = lineSpan(node, file) - namedInside(node, file);
      facts.functions.push({ name: nameOf(node, file) ?? "(anonymous)", lines, ...at(node) });
    }
    if (isDefaultExport(node)) facts.defaultExports.push(at(node));
    const what = watchedUse(node, file);
    if (what !== undefined) facts.uses.push({ what, ...at(node) });
    node.forEachChild(visit);
  };
  file.forEachChild(visit);
  return facts;
}

/** Modules that `SourceFile.imports` does not list. */
function loadedModule(node: Node, file: SourceFile): string | "computed" | undefined {
  if (isCallExpression(node)) {
    const callee = node.expression.getText(file);
    if (callee !== "import" && callee !== "require") return undefined;
    const path = plainText(node.arguments[0]);
    if (path === undefined) return "computed";
    return callee === "require" ? path : undefined;
  }
  if (isNewExpression(node) && node.expression.getText(file) === "URL") {
    const [path, base] = node.arguments ?? [];
    return base?.getText(file) === "import.meta.url" ? (plainText(path) ?? "computed") : undefined;
  }
  return undefined;
}

function isFunction(node: Node): boolean {
  return [
    isFunctionDeclaration,
    isFunctionExpression,
    isArrowFunction,
    isMethodDeclaration,
    isConstructorDeclaration,
    isGetAccessorDeclaration,
    isSetAccessorDeclaration,
  ].some((is) => is(node));
}

/** The name a function is declared or assigned under; a callback has none. */
function nameOf(node: Node, file: SourceFile): string | undefined {
  if (!isArrowFunction(node) && !isFunctionExpression(node)) {
    return (node as { readonly name?: Node }).name?.getText(file) ?? "constructor";
  }
  const holder = node.parent;
  const named = isVariableDeclaration(holder) || isPropertyAssignment(holder);
  return named ? holder.name?.getText(file) : undefined;
}

/** Lines that belong to the outermost named functions inside `node`; their first lines stay its own. */
function namedInside(node: Node, file: SourceFile): number {
  let lines = 0;
  const visit = (inner: Node): void => {
    if (isFunction(inner) && nameOf(inner, file) !== undefined) lines += lineSpan(inner, file) - 1;
    else inner.forEachChild(visit);
  };
  node.forEachChild(visit);
  return lines;
}

function lineAt(file: SourceFile, position: number): number {
  return file.text.slice(0, position).split("\n").length;
}

function lineSpan(node: Node, file: SourceFile): number {
  return lineAt(file, node.getEnd()) - lineAt(file, node.getStart(file)) + 1;
}

function isDefaultExport(node: Node): boolean {
  if (isExportAssignment(node)) return true;
  if (isExportSpecifier(node)) return node.name.text === "default";
  const modifiers = (node as { readonly modifiers?: readonly Node[] }).modifiers ?? [];
  return modifiers.some((modifier) => modifier.kind === SyntaxKind.DefaultKeyword);
}

/** `process.env`, `process["env"]`, `const { env } = process`, `import { env } from "node:process"`. */
function watchedUse(node: Node, file: SourceFile): string | undefined {
  let pair: string | undefined;
  if (isPropertyAccessExpression(node)) pair = member(node.expression, node.name.text, file);
  else if (isElementAccessExpression(node)) {
    pair = member(node.expression, plainText(node.argumentExpression), file);
  } else if (isBindingElement(node) && isVariableDeclaration(node.parent.parent)) {
    const source = node.parent.parent.initializer;
    const key = node.propertyName ?? node.name;
    if (source !== undefined && key !== undefined) pair = member(source, key.getText(file), file);
  } else if (isImportSpecifier(node)) {
    const from = (node.parent.parent.parent as { readonly moduleSpecifier?: Node }).moduleSpecifier;
    if (from !== undefined && /^.(node:)?process.$/.test(from.getText(file))) {
      pair = `process.${(node.propertyName ?? node.name).text}`;
    }
  }
  return pair !== undefined && WATCHED.includes(pair) ? pair : undefined;
}

/** The text of a string literal; undefined for anything that is put together at run time. */
function plainText(node: Node | undefined): string | undefined {
  if (node === undefined) return undefined;
  return isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node) ? node.text : undefined;
}

function member(object: Expression, property: string | undefined, file: SourceFile): string {
  return `${object.getText(file).replace(/^globalThis\./, "")}.${property}`;
}
