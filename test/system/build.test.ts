/**
 * The build is reproducible, production leaves out what it should, and a binary takes nothing from the folder it is
 * started in. The claims about splitting and autoloading are also made on a small probe program, where both the
 * presence and the absence can be seen.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { type BuildReport, FLAVOURS, type Flavour } from "../../image/binary.ts";
import { sourceFiles, treeHash } from "../../image/tree-hash.ts";
import manifest from "../../package.json";
import { needs } from "../support/skip.ts";
import { PROJECT } from "../support/vectors.ts";
import { DEVELOPMENT_MARKERS } from "./markers.ts";
import { build, copyProject, giveTo, install, NOBODY, plantDecoys, run } from "./project-copy.ts";

const root = mkdtempSync(join(tmpdir(), "build-"));
chmodSync(root, 0o755); // the other user has to pass through
afterAll(() => rmSync(root, { recursive: true, force: true }));

const asOther = needs("root, to build as another user", process.getuid?.() === 0);
const DEEP = join(root, "a folder/mit Ümläut/three/four/five/six");
const digests = (report: BuildReport): string[] =>
  report.binaries.map(({ flavour, sha256 }) => `${flavour} ${sha256}`);
const bytesOf = (report: BuildReport, flavour: Flavour): Buffer =>
  readFileSync(report.binaries.find((binary) => binary.flavour === flavour)?.path ?? "");

/** A warm cache, a short path, the caller's own environment. */
function plainBuild(): BuildReport {
  const project = join(root, "p");
  copyProject(project);
  install(project);
  return build(project, { out: join(project, "dist") });
}

/** Everything that can be different is different. Another user when we are root. */
function strangeBuild(): { report: BuildReport; trace: string } {
  const trace = join(root, "decoys-called");
  copyProject(DEEP, "backwards");
  install(DEEP, join(root, "cache"));
  for (const path of sourceFiles(DEEP)) lutimesSync(join(DEEP, path), 978_307_200, 978_307_200);
  const decoys = join(root, "decoys");
  plantDecoys(decoys, ["git", "node", "npm", "zstd", "tsc", "gcc", "ld", "strip"], trace);
  const bun = join(root, "another-bun");
  copyFileSync(process.execPath, bun);
  chmodSync(bun, 0o755);
  const out = join(root, "elsewhere");
  mkdirSync(out);
  if (asOther) for (const path of [join(root, "a folder"), out]) giveTo(NOBODY, path);
  const report = build(DEEP, {
    ...{ out, bun, cwd: "/", umask: "077", ...(asOther && { user: NOBODY }) },
    env: {
      ...{ HOME: "/nonexistent", PATH: decoys, TZ: "Asia/Tokyo", LANG: "de_DE.UTF-8" },
      ...{
        LC_ALL: "tr_TR.UTF-8",
        NODE_ENV: "development",
        SOURCE_DATE_EPOCH: "1",
        FORCE_COLOR: "1",
      },
      ...{ USER: "somebody", HOSTNAME: "another-host", CI: "1", DEBUG: "*", TMPDIR: out },
    },
  });
  return { report, trace };
}

describe("the build", () => {
  let plain: BuildReport;
  let strange: { report: BuildReport; trace: string };
  beforeAll(() => {
    plain = plainBuild();
    strange = strangeBuild();
  });

  test("builds both flavours and reports what it wrote", () => {
    expect(plain.binaries.map((binary) => binary.flavour)).toEqual([...FLAVOURS]);
    expect(plain.version).toBe(manifest.version);
    expect(plain.treeHash).toBe(treeHash(PROJECT));
    for (const { flavour, bytes, sha256 } of plain.binaries) {
      const written = bytesOf(plain, flavour);
      expect(written.length).toBe(bytes);
      expect(createHash("sha256").update(written).digest("hex")).toBe(sha256);
    }
    expect(new Set(plain.binaries.map((binary) => binary.sha256)).size).toBe(FLAVOURS.length);
  });

  test("a second build over the first gives the same bytes", () => {
    const again = build(join(root, "p"), { out: join(root, "p", "dist") });
    expect(digests(again)).toEqual(digests(plain));
  });

  test("another folder, start, user, clock, locale, umask, cache, runtime and order of files change nothing", () => {
    expect(digests(strange.report)).toEqual(digests(plain));
    expect(strange.report.treeHash).toBe(plain.treeHash);
    for (const { path } of strange.report.binaries) {
      expect(statSync(path).uid).toBe(asOther ? NOBODY : (process.getuid?.() ?? -1));
    }
  });

  test("no tool from PATH was called", () => {
    expect(existsSync(strange.trace)).toBe(false);
  });

  test("a change of one source file changes the bytes and the tree hash", () => {
    const project = join(root, "changed");
    copyProject(project);
    symlinkSync(join(root, "p/node_modules"), join(project, "node_modules"));
    writeFileSync(join(project, "src/base/limits.ts"), "\n", { flag: "a" });
    const changed = build(project, { out: join(project, "dist") });
    expect(changed.treeHash).not.toBe(plain.treeHash);
    for (const digest of digests(changed)) expect(digests(plain)).not.toContain(digest);
  });

  for (const flavour of FLAVOURS) {
    test(`${flavour} carries no path, user or host of its build`, () => {
      const binary = bytesOf(plain, flavour);
      const traces = [
        root,
        PROJECT,
        DEEP,
        tmpdir() === "/tmp" ? "/tmp/build-" : tmpdir(),
        hostname(),
      ];
      for (const trace of traces.filter((text) => text.length > 4)) {
        expect([trace, binary.includes(trace)]).toEqual([trace, false]);
      }
    });

    test(`${flavour} says which version, sources and flavour it is`, () => {
      const path = plain.binaries.find((binary) => binary.flavour === flavour)?.path ?? "";
      const text = run([path, "version"], { cwd: root, env: {} });
      for (const part of [plain.version, plain.treeHash, flavour]) expect(text).toContain(part);
    });
  }

  test("a marker that the sources hold is in development, and none is in production", () => {
    const sources = sourceFiles(PROJECT).map((path) => readFileSync(join(PROJECT, path), "utf8"));
    const held = DEVELOPMENT_MARKERS.filter((marker) =>
      sources.some((text) => text.includes(marker)),
    );
    const found = (flavour: Flavour): string[] =>
      DEVELOPMENT_MARKERS.filter((marker) => bytesOf(plain, flavour).includes(marker));
    expect(held.length).toBeGreaterThan(0);
    expect(found("development")).toEqual(held);
    expect(found("production")).toEqual([]);
  });
});

/** Prints what it got from its surroundings; its development part is left out the way src/main.ts has to do it. */
const PROBE = `declare const CB_DEV: boolean;
const parts: string[] = [];
if (typeof CB_DEV === "undefined" || CB_DEV) parts.push((await import("./development-part.ts")).MARKER);
import ssh2 from "ssh2";
console.log(JSON.stringify({
  planted: process.env.PLANTED ?? null,
  preloaded: (globalThis as { preloaded?: boolean }).preloaded ?? false,
  parts,
  ssh2: typeof ssh2.Client,
}));
`;

describe("a probe program, built the same way", () => {
  const project = join(root, "probe");
  const started = join(root, "started-here");
  const seen = (command: readonly string[]): unknown =>
    JSON.parse(run(command, { cwd: started, env: { PATH: "/nonexistent" } }));
  const SHOWN = { planted: null, preloaded: false, ssh2: "function" };
  beforeAll(() => {
    copyProject(project);
    install(project);
    writeFileSync(join(project, "src/main.ts"), PROBE);
    writeFileSync(
      join(project, "src/development-part.ts"),
      `export const MARKER = "only in development";\n`,
    );
    build(project, { out: join(project, "dist") });
    mkdirSync(started);
    writeFileSync(join(started, ".env"), "PLANTED=from .env\n");
    writeFileSync(join(started, "bunfig.toml"), `preload = ["./preload.ts"]\n`);
    writeFileSync(join(started, "preload.ts"), "globalThis.preloaded = true;\n");
    writeFileSync(join(started, "package.json"), `{"imports": {"#x": "./x.js"}}\n`);
    mkdirSync(join(started, "node_modules/cpu-features"), { recursive: true });
    writeFileSync(
      join(started, "node_modules/cpu-features/index.js"),
      `require("fs").writeFileSync(${JSON.stringify(join(started, "ran"))}, "ran");\n`,
    );
  });

  test("plain bun takes the planted .env and bunfig.toml, so the plants work", () => {
    expect(seen([process.execPath, join(project, "src/main.ts")])).toMatchObject({
      ...{ planted: "from .env", preloaded: true },
    });
  });

  test("neither flavour reads .env, bunfig.toml or modules from where it is started", () => {
    expect(seen([join(project, "dist/compute-bridge")])).toEqual({ ...SHOWN, parts: [] });
    expect(seen([join(project, "dist/compute-bridge-dev")])).toEqual({
      ...{ ...SHOWN, parts: ["only in development"] },
    });
    expect(existsSync(join(started, "ran"))).toBe(false);
  });

  test("what stands behind CB_DEV is in the development bytes alone", () => {
    const holds = (name: string): boolean =>
      readFileSync(join(project, "dist", name)).includes("only in development");
    expect([holds("compute-bridge-dev"), holds("compute-bridge")]).toEqual([true, false]);
  });

  test("the bytes do not depend on what an install script left behind", () => {
    const before = build(project, { out: join(project, "dist") });
    rmSync(join(project, "node_modules/cpu-features"), { recursive: true });
    rmSync(join(project, "node_modules/ssh2/lib/protocol/crypto/build"), {
      recursive: true,
      force: true,
    });
    const without = build(project, { out: join(project, "dist") });
    const addon = join(project, "node_modules/ssh2/lib/protocol/crypto/build/Release");
    mkdirSync(addon, { recursive: true });
    writeFileSync(join(addon, "sshcrypto.node"), "\x7fELF compiled here");
    const withAddon = build(project, { out: join(project, "dist") });
    expect([digests(without), digests(withAddon)]).toEqual([digests(before), digests(before)]);
  });
});
