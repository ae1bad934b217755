/**
 * The compiled binaries, built once for all test files of a run: test/run.ts names a folder that lasts as long as the
 * run. A file started by `bun test` alone builds its own.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Flavour } from "../../../image/binary.ts";
import { RUN_FOLDER } from "../../support/runner.ts";
import { PROJECT } from "../../support/vectors.ts";
import { run } from "../project-copy.ts";

const NAMES = { production: "compute-bridge", development: "compute-bridge-dev" } as const;

let ownFolder: string | undefined;

/** The path of the binary, built from this checkout when nobody has yet. Takes some seconds the first time. */
export function binary(flavour: Flavour): string {
  const folder = join(runFolder(), "binaries", flavour);
  const path = join(folder, NAMES[flavour]);
  if (existsSync(path)) return path;
  const building = `${folder}.${process.pid}`;
  run(
    [process.execPath, join(PROJECT, "image/binary.ts"), "--flavour", flavour, "--out", building],
    {
      cwd: PROJECT,
    },
  );
  try {
    renameSync(building, folder);
  } catch (error) {
    if (!existsSync(path)) throw error; // another worker of this run was first
    rmSync(building, { recursive: true });
  }
  return path;
}

function runFolder(): string {
  const shared = process.env[RUN_FOLDER];
  if (shared === undefined && ownFolder === undefined) {
    const made = mkdtempSync(join(tmpdir(), "compute-bridge-binaries-"));
    process.on("exit", () => rmSync(made, { recursive: true, force: true }));
    ownFolder = made;
  }
  const folder = shared ?? ownFolder ?? "";
  mkdirSync(join(folder, "binaries"), { recursive: true });
  return folder;
}
