import { afterAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pinnedRuntime } from "../../image/bun-pin.ts";
import manifest from "../../package.json";
import { BridgeError, explain } from "../../src/base/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "bun-pin-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function refusal(packageManager: string, path?: string): string {
  try {
    pinnedRuntime(packageManager, path);
  } catch (error) {
    if (error instanceof BridgeError) return explain(error);
  }
  return "accepted";
}

test("the Bun that runs these tests is the pinned one", () => {
  const runtime = pinnedRuntime(manifest.packageManager);
  expect(runtime).toMatchObject({ path: process.execPath, version: Bun.version });
});

test("a byte-identical copy elsewhere is accepted, anything else is not", () => {
  const copy = join(folder, "bun");
  copyFileSync(process.execPath, copy);
  expect(pinnedRuntime(manifest.packageManager, copy).path).toBe(copy);
  writeFileSync(copy, "\0", { flag: "a" });
  expect(refusal(manifest.packageManager, copy)).toMatch(
    /SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}/,
  );
});

test("versions without a pin, and other package managers, are refused with what to do", () => {
  for (const other of ["bun@99.0.0", "npm@10.0.0", "bun@latest", "bun", ""]) {
    expect(refusal(other)).toMatch(/no runtime is pinned.*image\/bun-pin\.ts/);
  }
});
