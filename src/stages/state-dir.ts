/** State directories: a role's own, closed to every other user, and what a provider keeps in its own. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BridgeError, hasCode } from "../base/errors.ts";
import type { Secret } from "../base/secret.ts";
import { openToOthers } from "../config/check-files.ts";
import { explainFault } from "../config/files.ts";
import { readSeed } from "../config/secrets.ts";
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

/**
 * Makes the directory with mode 0700. Throws `config-invalid` when that cannot be, and `unsafe-permissions` when
 * every user of this host can enter it: `config check` says the same.
 */
export function openStateDir(stateDir: string): void {
  let mode: number;
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    mode = statSync(stateDir).mode;
  } catch (error) {
    const { problem, fix } = explainFault(error);
    throw new BridgeError("config-invalid", `stateDir ${stateDir} ${problem}`, { fix });
  }
  const fault = openToOthers(stateDir, mode);
  if (fault === undefined) return;
  throw new BridgeError("unsafe-permissions", `stateDir ${fault.message}`, { fix: fault.fix });
}

/** Creates what is missing, as openStateDir. Throws `journal-locked`, `journal-foreign` or `journal-unwritable`, too. */
export function openProviderState(stateDir: string, providerId: string): ProviderState {
  openStateDir(stateDir);
  const journal = openJournal(join(stateDir, "journal.db"), providerId);
  try {
    return {
      journal,
      localSecret: secretFile(
        join(stateDir, "local.secret"),
        "restore it from a backup; machine keys derive from it",
      ),
      adminToken: secretFile(
        join(stateDir, ADMIN_TOKEN_FILE),
        "remove it; the next start makes another",
      ),
      machinesDir: join(stateDir, "machines"),
    };
  } catch (error) {
    journal.close();
    throw error;
  }
}

/** 32 random bytes in hex, made on first use. Throws `secret-unreadable` or `unsafe-permissions`. */
function secretFile(path: string, fix: string): Secret {
  if (!existsSync(path)) {
    writeFileSync(path, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600, flag: "wx" });
  }
  try {
    return readSeed({ from: "file", path }, {});
  } catch (error) {
    if (!hasCode(error, "secret-unreadable")) throw error;
    throw new BridgeError("secret-unreadable", (error as BridgeError).message, { fix });
  }
}

const DRAIN_FILE = "drain.result";

/** How the last drain ended, for the command that asked for it and outlives the provider. */
export function recordDrain(stateDir: string, result: DrainResult): void {
  writeFileSync(join(stateDir, DRAIN_FILE), `${result}\n`, { mode: 0o600 });
}

export function forgetDrain(stateDir: string): void {
  rmSync(join(stateDir, DRAIN_FILE), { force: true });
}

export function lastDrain(stateDir: string): string | undefined {
  const path = join(stateDir, DRAIN_FILE);
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}
