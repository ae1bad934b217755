/**
 * The hash of the sources a binary is built from. It is computed from the files, not from git, so that it is the same
 * in a clone, an archive and a copy; it names the program in `version`, cards and measurement files. Left out are
 * tests, documentation outside src and image, and measurements (they are made from the binary, so they cannot be in it).
 */
import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compare, toHex, utf8 } from "../src/base/bytes.ts";
import { BridgeError } from "../src/base/errors.ts";
import { taggedHash } from "../src/base/hash.ts";

/** Everything that decides the bytes: the program, its builder, its dependencies, and how those are read. */
const SINGLE_FILES = ["bun.lock", "bunfig.toml", "package.json", "tsconfig.json"];
const FOLDERS = "{src,image}/**/*";
const BUILD_OUTPUT = "image/out/";

/** The hashed paths, in bytewise order. Dot files and logs are no sources (as in .gitignore). */
export function sourceFiles(project: string): string[] {
  const files = [...new Bun.Glob(FOLDERS).scanSync({ cwd: project, onlyFiles: false })].filter(
    (path) => !path.startsWith(BUILD_OUTPUT) && !path.endsWith(".log"),
  );
  return [...SINGLE_FILES, ...files]
    .filter((path) => isSource(project, path))
    .sort((a, b) => compare(utf8(a), utf8(b)));
}

/** Throws `bad-argument` for a symbolic link: what it points to would not be hashed by its path. */
function isSource(project: string, path: string): boolean {
  const stat = lstatSync(join(project, path));
  if (stat.isSymbolicLink()) {
    throw new BridgeError("bad-argument", `${path} is a symbolic link`, {
      fix: "keep plain files in src and image",
    });
  }
  return stat.isFile();
}

/** 64 hex digits: blake3(lp(tag, path, contents, path, contents, …)). */
export function treeHash(project: string): string {
  const fields = sourceFiles(project).flatMap((path) => [path, readFileSync(join(project, path))]);
  return toHex(taggedHash("compute-bridge/source-tree/v1", ...fields));
}
