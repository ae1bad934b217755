/**
 * The pinned runtime. It is half of every binary we ship, and the other half is what its bundler makes of the sources,
 * so a build under any other Bun would be another program with the same name.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { toHex } from "../src/base/bytes.ts";
import { BridgeError } from "../src/base/errors.ts";

/** SHA-256 of `bin/bun` in @oven/bun-linux-x64, by version. A new version needs its line here. */
const RUNTIMES: Readonly<Record<string, string>> = {
  "1.4.5": "f05d28a3862f4b84395c7fa32480b835dd47482e80b7e7a49a115227f0c06083",
};

export interface Runtime {
  readonly path: string;
  readonly version: string;
  readonly sha256: string;
}

/** The running Bun, when it is the one `packageManager` names. Throws `bad-argument` otherwise. */
export function pinnedRuntime(packageManager: string, path = process.execPath): Runtime {
  const version = /^bun@([0-9.]+)$/.exec(packageManager)?.[1];
  const expected = version === undefined ? undefined : RUNTIMES[version];
  if (version === undefined || expected === undefined) {
    throw new BridgeError("bad-argument", `no runtime is pinned for ${packageManager}`, {
      fix: "add the SHA-256 of its linux-x64 binary to image/bun-pin.ts",
    });
  }
  const fix = `run the build with: npx -y bun@${version} image/binary.ts`;
  if (process.platform !== "linux" || process.arch !== "x64") {
    const host = `${process.platform}-${process.arch}`;
    throw new BridgeError("bad-argument", `the build runs on linux-x64, this is ${host}`);
  }
  if (Bun.version !== version) {
    throw new BridgeError("bad-argument", `built by Bun ${version} only, this is ${Bun.version}`, {
      fix,
    });
  }
  const sha256 = toHex(createHash("sha256").update(readFileSync(path)).digest());
  if (sha256 !== expected) {
    throw new BridgeError(
      "bad-argument",
      `this Bun calls itself ${version} but its SHA-256 is ${sha256}, not ${expected}`,
      { fix },
    );
  }
  return { path, version, sha256 };
}
