/** What a provider that does not run has written down: its journal and its machines' folders. */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openJournal } from "../../../src/ledger/journal.ts";
import type { GrantState } from "../../../src/ledger/state.ts";
import type { Sandbox } from "./processes.ts";

/** The grants a killed provider had open. Reads a copy: looking must not tidy up what the crash left. */
export function liveGrants(stateDir: string, providerId: string): GrantState[] {
  const copies = mkdtempSync(join(tmpdir(), "compute-bridge-journal-"));
  try {
    for (const name of ["journal.db", "journal.db-wal"]) {
      const path = join(stateDir, name);
      if (existsSync(path)) copyFileSync(path, join(copies, name));
    }
    const journal = openJournal(join(copies, "journal.db"), providerId);
    const live = journal.live();
    journal.close();
    return live;
  } finally {
    rmSync(copies, { recursive: true, force: true });
  }
}

/** Names of all machines there ever were, ended ones included. */
export function machineFolders(stateDir: string): string[] {
  const folder = join(stateDir, "machines");
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

/** The pids of machines that run now. */
export function machinePids(sandbox: Sandbox): number[] {
  return sandbox
    .processes()
    .filter((one) => / __machine \//.test(one))
    .map((one) => Number.parseInt(one, 10));
}
