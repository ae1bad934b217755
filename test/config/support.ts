/** What the tests of src/config share: a smallest valid file of each kind, and ways to look at what is refused. */
import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LoadOptions } from "../../src/config/effective.ts";
import { type Loaded, loadMemberConfig, loadProviderConfig } from "../../src/config/load.ts";
import { ConfigError, problemText } from "../../src/config/problem.ts";
import type { MemberConfig, ProviderConfig } from "../../src/config/schema.ts";

export const REGIONS = ["any", "europe", "asia"] as const;
type Region = (typeof REGIONS)[number];

export const PROVIDER = `version = 1
[provider]
name = "provider-1"
stateDir = "state"
[operator]
key = "file:operator.key"
[coalition]
file = "coalition.toml"
[backends.local]
kind = "local"
iUnderstandThereIsNoIsolation = true
regionClass = "europe"
pricePerHour = 0.05
`;

export const MEMBER = `version = 1
[member]
index = 2
stateDir = "state"
key = "file:member.key"
grantShare = "file:grant.share"
unsealShare = "env:UNSEAL_SHARE"
[coalition]
file = "coalition.toml"
`;

export function provider(
  text: string | Uint8Array = PROVIDER,
  options: LoadOptions = {},
): Loaded<ProviderConfig<Region>> {
  const source = { name: "provider.toml", directory: "/etc/bridge", text };
  return loadProviderConfig(source, {
    workingDirectory: "/home/operator",
    ...options,
    regionClasses: REGIONS,
  });
}

export function member(text = MEMBER, options: LoadOptions = {}): Loaded<MemberConfig> {
  const source = { name: "member.toml", directory: "/etc/bridge", text };
  return loadMemberConfig(source, { workingDirectory: "/home/operator", ...options });
}

/** The ConfigError of a call that must throw one. */
export function refusal(call: () => unknown): ConfigError {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    if (error instanceof ConfigError) return error;
  }
  throw new Error("nothing was refused");
}

export function problemLines(call: () => unknown): string[] {
  return refusal(call).problems.map(problemText);
}

/** The smallest valid provider file with one line replaced or, at the end of a section, added. */
export function withLine(section: string, line: string): string {
  const header = `[${section}]\n`;
  return PROVIDER.includes(header)
    ? PROVIDER.replace(header, `${header}${line}\n`)
    : `${PROVIDER}${header}${line}\n`;
}

/** A folder that is gone after `use`. */
export function inFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "bridge-config-"));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
