/**
 * Published vectors. The small ones stand in test/vectors; the large ones (quotes, collateral, cloud answers) lie
 * in the folder BRIDGE_VECTORS, outside the repository, and tests that want them count what they miss.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { needs, vectorsName } from "./skip.ts";

export const PROJECT = join(import.meta.dir, "../..");
const DEFAULT_VECTORS = join(PROJECT, "../shared/vectors");

/** The environment of a test run: BRIDGE_VECTORS is set when the folder is there. */
export function vectorsEnvironment(): Record<string, string> {
  const folder = process.env.BRIDGE_VECTORS ?? DEFAULT_VECTORS;
  return existsSync(folder) ? { BRIDGE_VECTORS: folder } : {};
}

/**
 * `folder` inside BRIDGE_VECTORS, or undefined after saying aloud that `cases` cases cannot run. Call it at the
 * top level of a test file.
 */
export function vectorsDir(folder: string, cases: number): string | undefined {
  const root = vectorsEnvironment().BRIDGE_VECTORS;
  const path = root === undefined ? undefined : join(root, folder);
  return needs(vectorsName(folder, cases), path !== undefined && existsSync(path) && path);
}
