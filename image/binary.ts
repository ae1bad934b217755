/**
 * bun image/binary.ts [--flavour production|development|both] [--out DIR] [--json]
 *
 * The single binary, in two flavours from one source: production, and development with demo, embedded coalition,
 * `local` backend and simulator. The same sources give the same bytes in any folder, for any user, clock and cache;
 * test/system/build.test.ts holds the build to that. Each setting below that looks arbitrary was found by it.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { BunPlugin } from "bun";
import { toHex } from "../src/base/bytes.ts";
import { BridgeError, explain } from "../src/base/errors.ts";
import { pinnedRuntime, type Runtime } from "./bun-pin.ts";
import { treeHash } from "./tree-hash.ts";

const PROJECT = join(import.meta.dir, "..");

/** The basename is stored in the binary, so each flavour has one. */
const BASENAMES = { production: "compute-bridge", development: "compute-bridge-dev" } as const;

export type Flavour = keyof typeof BASENAMES;

export const FLAVOURS: readonly Flavour[] = ["production", "development"];

export interface BuiltBinary {
  readonly flavour: Flavour;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface BuildReport {
  readonly version: string;
  readonly treeHash: string;
  readonly bun: { readonly version: string; readonly sha256: string };
  readonly binaries: readonly BuiltBinary[];
}

/**
 * ssh2 looks for `cpu-features` and its own addon in try blocks. Whether they exist depends on what the install did,
 * so neither is ever bundled: both fail to load, in every build alike.
 */
const withoutAddons: BunPlugin = {
  name: "without-addons",
  setup(build) {
    const namespace = "absent-addon";
    build.onResolve({ filter: /^cpu-features$|\.node$/ }, ({ path }) => ({
      path: path.replace(/^.*\//, ""),
      namespace,
    }));
    build.onLoad({ filter: /.*/, namespace }, ({ path }) => ({
      contents: `throw new Error(${JSON.stringify(`${path} is not part of this program`)});`,
      loader: "js",
    }));
  },
};

/** Builds `flavours` into `out`. Throws `bad-argument` under a Bun that is not the pinned one. */
export async function buildBinaries(
  flavours: readonly Flavour[],
  out: string,
): Promise<BuildReport> {
  const manifest = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8"));
  const runtime = pinnedRuntime(manifest.packageManager);
  const folder = resolve(out);
  mkdirSync(folder, { recursive: true });
  const previous = process.cwd();
  process.chdir(PROJECT); // module paths in the binary are relative to the working directory
  try {
    const identity = { version: String(manifest.version), treeHash: treeHash(PROJECT) };
    const binaries: BuiltBinary[] = [];
    for (const flavour of flavours) {
      binaries.push(await buildOne(flavour, join(folder, BASENAMES[flavour]), identity, runtime));
    }
    return { ...identity, bun: { version: runtime.version, sha256: runtime.sha256 }, binaries };
  } finally {
    process.chdir(previous);
  }
}

async function buildOne(
  flavour: Flavour,
  outfile: string,
  identity: { readonly version: string; readonly treeHash: string },
  runtime: Runtime,
): Promise<BuiltBinary> {
  await Bun.build({
    entrypoints: ["src/main.ts"],
    target: "bun",
    format: "esm",
    splitting: true, // an import() that the flavour leaves out, or nobody reaches, costs nothing
    minify: { whitespace: true, syntax: true, identifiers: false }, // stack traces keep their names
    sourcemap: "none",
    env: "disable",
    define: {
      __dirname: '"/compute-bridge"', // otherwise CommonJS modules carry the path of the build
      __filename: '"/compute-bridge/module.js"',
      CB_DEV: String(flavour === "development"),
      CB_VERSION: JSON.stringify(identity.version),
      CB_TREE_HASH: JSON.stringify(identity.treeHash),
    },
    plugins: [withoutAddons],
    compile: {
      target: "bun-linux-x64",
      executablePath: runtime.path,
      outfile,
      // The working directory of a running binary belongs to somebody else: nothing is read from it unasked.
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
    },
  });
  const bytes = readFileSync(outfile);
  const sha256 = toHex(createHash("sha256").update(bytes).digest());
  return { flavour, path: outfile, bytes: bytes.length, sha256 };
}

function print(report: BuildReport): void {
  console.log(`compute-bridge ${report.version}, tree ${report.treeHash}`);
  console.log(`bun ${report.bun.version}, sha256 ${report.bun.sha256}`);
  for (const { flavour, path, bytes, sha256 } of report.binaries) {
    const size = `${(bytes / 1e6).toFixed(1)} MB`;
    console.log(
      `${flavour.padEnd(11)} ${sha256} ${size.padStart(9)}  ${relative(process.cwd(), path)}`,
    );
  }
}

function chosenFlavours(name: string): readonly Flavour[] {
  if (name === "both") return FLAVOURS;
  const flavour = FLAVOURS.find((known) => known === name);
  if (flavour !== undefined) return [flavour];
  throw new BridgeError("bad-argument", `unknown flavour ${name}`, {
    fix: `use ${FLAVOURS.join(", ")} or both`,
  });
}

async function main(): Promise<number> {
  try {
    const { values } = parseArgs({
      options: {
        flavour: { type: "string", default: "both" },
        out: { type: "string", default: join(PROJECT, "dist") },
        json: { type: "boolean", default: false },
      },
    });
    const report = await buildBinaries(chosenFlavours(values.flavour), values.out);
    if (values.json) console.log(JSON.stringify(report, null, 2));
    else print(report);
    return 0;
  } catch (error) {
    // A failed bundle is an AggregateError that names each file and line.
    const reasons = error instanceof AggregateError ? error.errors : [error];
    for (const reason of reasons) console.error(describeReason(reason));
    return error instanceof BridgeError || error instanceof TypeError ? 2 : 1;
  }
}

function describeReason(reason: unknown): string {
  const place =
    reason instanceof BuildMessage || reason instanceof ResolveMessage ? reason.position : null;
  return place === null ? explain(reason) : `${place.file}:${place.line}: ${explain(reason)}`;
}

if (import.meta.main) process.exitCode = await main();
