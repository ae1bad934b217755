/** A provider file in a folder of its own, checked. */
import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { BridgeError } from "../../src/base/errors.ts";
import { type CheckLine, type CheckOptions, checkProvider } from "../../src/config/check.ts";
import { loadProviderConfig, readConfigFile } from "../../src/config/load.ts";
import { parseToml } from "../../src/config/toml.ts";
import { inFolder, PROVIDER, REGIONS } from "./support.ts";

export const SEED = "5e".repeat(32);

/** What `readCoalition` is in the program, as far as this area needs it: a file that must parse and match a pin. */
export function readCoalition(path: string, pin?: string): void {
  const source = readConfigFile(path);
  parseToml(source.text, path);
  if (pin !== undefined && pin !== "00".repeat(32)) {
    throw new BridgeError("config-invalid", `${path} has another fingerprint than the pinned one`);
  }
}

export interface Setup {
  readonly text?: string;
  readonly options?: Partial<CheckOptions>;
  readonly arrange?: (folder: string) => void;
}

/** Checks a provider file in a folder of its own that holds what the file refers to. */
export function check({ text = PROVIDER, options, arrange }: Setup = {}): CheckLine[] {
  return inFolder((folder) => {
    writeFileSync(join(folder, "operator.key"), `${SEED}\n`, { mode: 0o600 });
    writeFileSync(join(folder, "coalition.toml"), "version = 1\n");
    writeFileSync(join(folder, "provider.toml"), text);
    arrange?.(folder);
    const load = () =>
      loadProviderConfig(readConfigFile(join(folder, "provider.toml")), { regionClasses: REGIONS });
    const lines = checkProvider(load, {
      env: {},
      readCoalition,
      hostIps: ["127.0.0.1", "8.8.8.8"],
      ...options,
    });
    const shown = JSON.stringify(lines).replaceAll(folder, "~");
    expect(shown).not.toContain(SEED);
    return JSON.parse(shown);
  });
}

export function at(lines: readonly CheckLine[], path: string): CheckLine | undefined {
  return lines.find((line) => line.path === path && line.status !== "ok");
}
