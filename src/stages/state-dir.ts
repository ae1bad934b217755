/** The provider's state directory: the journal, this host's own secret, and the admin token. All of it 0600. */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import { type Journal, openJournal } from "../ledger/journal.ts";
import type { DrainResult } from "./drain.ts";

export interface ProviderState {
  readonly journal: Journal;
  readonly localSecret: Secret;
  readonly adminToken: Secret;
  readonly machinesDir: string;
}

export const ADMIN_TOKEN_FILE = "admin.token";
export const ADMIN_URL_FILE = "admin.url";

/** Creates what is missing. Throws `journal-locked`, `journal-foreign`, `journal-unwritable` or `unsafe-permissions`. */
export function openProviderState(stateDir: string, providerId: string): ProviderState {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const journal = openJournal(join(stateDir, "journal.db"), providerId);
  return {
    journal,
    localSecret: secretFile(join(stateDir, "local.secret")),
    adminToken: secretFile(join(stateDir, ADMIN_TOKEN_FILE)),
    machinesDir: join(stateDir, "machines"),
  };
}

/** 32 random bytes in hex, made on first use. */
function secretFile(path: string): Secret {
  if (!existsSync(path)) {
    writeFileSync(path, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600, flag: "wx" });
    chmodSync(path, 0o600);
  }
  const text = readFileSync(path, "utf8").trim();
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new BridgeError("secret-unreadable", `${path} does not hold 64 hex characters`, {
      fix: "restore it from a backup; machine keys derive from it",
    });
  }
  return new Secret(fromHex(text));
}

const DRAIN_FILE = "drain.result";

/** How the last drain ended, for the command that asked for it and outlives the provider. */
export function recordDrain(stateDir: string, result: DrainResult): void {
  writeFileSync(join(stateDir, DRAIN_FILE), `${result}\n`);
}

export function forgetDrain(stateDir: string): void {
  rmSync(join(stateDir, DRAIN_FILE), { force: true });
}

export function lastDrain(stateDir: string): string | undefined {
  const path = join(stateDir, DRAIN_FILE);
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}
