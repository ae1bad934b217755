import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { sourceFiles, treeHash } from "../../image/tree-hash.ts";
import { codeThrownBy } from "../support/codes.ts";
import { PROJECT } from "../support/vectors.ts";

const parent = mkdtempSync(join(tmpdir(), "tree-hash-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

const FILES = {
  "package.json": "{}",
  "bun.lock": "lock",
  "bunfig.toml": "",
  "tsconfig.json": "{}",
  "src/main.ts": "main",
  "src/base/a.ts": "a",
  "src/admin/page.html": "<html>",
  "image/binary.ts": "binary",
};

let project = "";
let original = "";
beforeEach(() => {
  project = mkdtempSync(join(parent, "p-"));
  for (const [path, text] of Object.entries(FILES)) write(path, text);
  original = treeHash(project);
});

function write(path: string, text: string): void {
  mkdirSync(join(project, dirname(path)), { recursive: true });
  writeFileSync(join(project, path), text);
}

test("the files are listed in bytewise order", () => {
  expect(sourceFiles(project)).toEqual(Object.keys(FILES).sort());
});

describe("the hash stays", () => {
  const UNRELATED = [
    ...["README.md", "test/a.test.ts", "measurements/v1.json", "dist/compute-bridge", ".git/HEAD"],
    ...["node_modules/x/index.js", "image/out/disk.raw", "src/debug.log", "src/base/.a.ts.swp"],
  ];
  for (const path of UNRELATED) {
    test(`when ${path} appears`, () => {
      write(path, "new");
      expect(treeHash(project)).toBe(original);
    });
  }

  test("when only times change, and in a copy elsewhere", () => {
    for (const path of Object.keys(FILES)) utimesSync(join(project, path), 1, 1);
    const moved = `${project}-moved`;
    renameSync(project, moved);
    expect(treeHash(moved)).toBe(original);
  });
});

describe("the hash changes", () => {
  for (const path of Object.keys(FILES)) {
    test(`when ${path} changes`, () => {
      write(path, "changed");
      expect(treeHash(project)).not.toBe(original);
    });
  }

  test("when a file is added, renamed or removed", () => {
    write("src/new.ts", "");
    const added = treeHash(project);
    renameSync(join(project, "src/new.ts"), join(project, "src/newer.ts"));
    const renamed = treeHash(project);
    expect(new Set([original, added, renamed]).size).toBe(3);
    rmSync(join(project, "src/newer.ts"));
    expect(treeHash(project)).toBe(original);
  });

  test("when bytes move from one file to its neighbour", () => {
    write("src/base/a.ts", "");
    write("src/main.ts", "amain");
    expect(treeHash(project)).not.toBe(original);
  });
});

test("a symbolic link is refused", () => {
  symlinkSync("a.ts", join(project, "src/base/b.ts"));
  expect(codeThrownBy(() => treeHash(project))).toBe("bad-argument");
});

test("this project's own sources are in it, its tests are not", () => {
  const files = sourceFiles(PROJECT);
  for (const path of ["package.json", "bun.lock", "src/base/hash.ts", "image/tree-hash.ts"]) {
    expect(files).toContain(path);
  }
  expect(files.filter((path) => /^(test|measurements|node_modules|dist)\//.test(path))).toEqual([]);
});
