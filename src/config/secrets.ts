/**
 * Secrets are configured by reference only: `file:PATH` or `env:NAME`. A configuration file is copied, shown and
 * pasted into tickets; what it refers to is not. No message here ever contains what a secret holds.
 */
import { resolve } from "node:path";
import { fromHex, utf8, zero } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { SECRET_BYTES_MAX } from "../base/limits.ts";
import { Secret } from "../base/secret.ts";
import { readBounded } from "./files.ts";
import type { SecretRef } from "./setting.ts";

/** Variables by name, as in `process.env`. */
export type Environment = { readonly [name: string]: string | undefined };

/** Throws `malformed` for anything that is not a reference, without repeating it: it may be the secret itself. */
export function parseSecretRef(text: string, directory: string): SecretRef {
  const [, scheme, target = ""] = /^(file|env):(.+)$/s.exec(text) ?? [];
  if (scheme === "file" && !target.includes("\0")) {
    return { from: "file", path: resolve(directory, target) };
  }
  if (scheme === "env" && /^[A-Za-z_][A-Za-z0-9_]*$/.test(target)) {
    return { from: "env", name: target };
  }
  throw new BridgeError("malformed", "must refer to a secret, not contain it");
}

export function secretRefText(ref: SecretRef): string {
  return ref.from === "file" ? `file:${ref.path}` : `env:${ref.name}`;
}

/**
 * The bytes, without one line end behind them. Throws `secret-unreadable` (missing, no file, empty, too large) or
 * `unsafe-permissions` (anybody but the owner can read or change the file).
 */
export function readSecret(ref: SecretRef, env: Environment): Secret {
  const bytes = ref.from === "file" ? readSecretFile(ref.path) : readVariable(ref.name, env);
  const kept = bytes.slice(0, bytes.length - lineEndLength(bytes));
  zero(bytes);
  if (kept.length === 0) {
    throw new BridgeError("secret-unreadable", `${secretRefText(ref)} is empty`, {
      fix: "put the secret there",
    });
  }
  return new Secret(kept);
}

/** A 32-byte seed or share written as 64 lower-case hex characters. Throws as `readSecret`, and `secret-unreadable`. */
export function readSeed(ref: SecretRef, env: Environment): Secret {
  const written = readSecret(ref, env);
  const digits = Buffer.from(written.reveal()).toString("latin1");
  written.erase();
  if (!/^[0-9a-f]{64}$/.test(digits)) {
    throw new BridgeError(
      "secret-unreadable",
      `${secretRefText(ref)} does not hold 64 lower-case hex characters`,
      { fix: "write exactly the 64 characters; one line end behind them is allowed" },
    );
  }
  return new Secret(fromHex(digits, "seed"));
}

function readSecretFile(path: string): Uint8Array {
  const read = readBounded(path, SECRET_BYTES_MAX);
  if (!read.ok) {
    throw new BridgeError("secret-unreadable", `file:${path} ${read.problem}`, { fix: read.fix });
  }
  if ((read.mode & 0o077) === 0) return read.bytes;
  zero(read.bytes);
  const mode = (read.mode & 0o777).toString(8).padStart(4, "0");
  throw new BridgeError(
    "unsafe-permissions",
    `file:${path} has mode ${mode}: others than its owner can read or change it`,
    { fix: `chmod 600 ${shellQuote(path)}` },
  );
}

function readVariable(name: string, env: Environment): Uint8Array {
  const value = env[name];
  if (value === undefined) {
    throw new BridgeError("secret-unreadable", `env:${name} is not set`, {
      fix: `set the variable ${name} for this process`,
    });
  }
  const bytes = utf8(value);
  if (bytes.length <= SECRET_BYTES_MAX) return bytes;
  throw new BridgeError(
    "secret-unreadable",
    `env:${name} has ${bytes.length} bytes, at most ${SECRET_BYTES_MAX} are read`,
    { fix: "refer to the right variable" },
  );
}

function lineEndLength(bytes: Uint8Array): number {
  if (bytes.at(-1) !== 0x0a) return 0;
  return bytes.at(-2) === 0x0d ? 2 : 1;
}

/** One word for a POSIX shell. */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
