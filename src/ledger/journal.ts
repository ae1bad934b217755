/**
 * The journal: SQLite in WAL mode with synchronous FULL. One transaction per batch of transitions, durable before any
 * effect of theirs runs. A grant's row is its whole state; the transitions table is the history an operator reads.
 */
import { Database } from "bun:sqlite";
import { assert } from "../base/assert.ts";
import { decodeCanonical, encodeCanonical } from "../base/canonical.ts";
import { BridgeError } from "../base/errors.ts";
import { STATE_BYTES_MAX } from "../base/limits.ts";
import { makePrivate } from "../base/private-file.ts";
import type { GrantState } from "./state.ts";
import { isSettled } from "./state.ts";

const SCHEMA_VERSION = 1;

export interface Change {
  readonly event: string;
  readonly after: GrantState;
}

type Row = Change & { readonly body: Uint8Array };

export interface Journal {
  /** Every grant that is not settled. */
  live(): GrantState[];
  /** Settled or not. */
  has(key: string): boolean;
  get(key: string): GrantState | undefined;
  /** All or nothing, on disk when it returns. Throws `journal-unwritable`. */
  commit(changes: readonly Change[], totals: ReadonlyMap<string, number>, atMs: number): void;
  totals(): Map<string, number>;
  /** Spend of settled grants by day, from this day on. */
  settledSpend(fromDay: number): Map<number, number>;
  /** Durable settings of this provider: its last endorsement seq, its standing. */
  meta(name: string): string | undefined;
  setMeta(name: string, value: string): void;
  /** Forgets settled grants that ended before this tick and whose cost counts against a day before this one. */
  prune(beforeTick: number, beforeDay: number): void;
  history(key: string): { readonly atMs: number; readonly event: string; readonly state: string }[];
  close(): void;
}

/** Throws `journal-locked` when another process has it open, `journal-foreign` when it is another provider's. */
export function openJournal(path: string, owner: string): Journal {
  const db = openDatabase(path);
  const statements = prepare(db);
  const meta = (name: string): string | undefined => statements.meta.get(name)?.value;
  try {
    checkOwner(meta, (name, value) => void statements.setMeta.run(name, value), owner, path);
  } catch (error) {
    db.close();
    throw error;
  }

  const write = (action: () => void): void => {
    try {
      action();
    } catch (cause) {
      throw new BridgeError("journal-unwritable", "the journal cannot be written", {
        cause,
        retry: "later",
        fix: "free disk space or make the state directory writable; nothing new is admitted until then",
      });
    }
  };
  const commit = db.transaction(
    (rows: readonly Row[], totals: ReadonlyMap<string, number>, atMs: number) => {
      for (const { event, after, body } of rows) {
        const settled = isSettled(after);
        statements.put.run(
          after.key,
          after.state,
          settled ? 0 : 1,
          after.spend.day,
          after.spend.micros,
          after.grant.validToTick,
          body,
        );
        statements.addTransition.run(after.key, atMs, event, after.state);
      }
      for (const [name, amount] of totals) statements.addTotal.run(name, amount);
    },
  );
  const prune = db.transaction((beforeTick: number, beforeDay: number) => {
    statements.pruneTransitions.run(beforeTick, beforeDay);
    statements.pruneGrants.run(beforeTick, beforeDay);
  });
  return {
    live: () => statements.live.all().map((row) => decodeState(row.body)),
    has: (key) => statements.has.get(key) !== null,
    get(key) {
      const row = statements.get.get(key);
      return row === null ? undefined : decodeState(row.body);
    },
    commit(changes, totals, atMs) {
      const rows = changes.map((change) => ({ ...change, body: encodeState(change.after) }));
      write(() => commit(rows, totals, atMs));
    },
    totals: () => new Map(statements.totals.all().map(({ name, value }) => [name, value])),
    settledSpend: (fromDay) =>
      new Map(statements.spend.all(fromDay).map(({ day, micros }) => [day, micros])),
    meta,
    setMeta: (name, value) => write(() => void statements.setMeta.run(name, value)),
    prune: (beforeTick, beforeDay) => write(() => prune(beforeTick, beforeDay)),
    history: (key) => statements.history.all(key),
    close: () => db.close(),
  };
}

function openDatabase(path: string): Database {
  let db: Database | undefined;
  try {
    makePrivate(path);
    db = new Database(path, { create: true, strict: true });
    // One process at a time: two writers would start one grant twice.
    db.run("PRAGMA locking_mode = EXCLUSIVE");
    db.run("PRAGMA journal_mode = WAL");
    db.run("PRAGMA synchronous = FULL");
    db.run(
      "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    );
    db.run(
      "CREATE TABLE IF NOT EXISTS grants (key TEXT PRIMARY KEY, state TEXT NOT NULL, live INTEGER NOT NULL, day INTEGER NOT NULL, micros INTEGER NOT NULL, valid_to INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
    );
    db.run("CREATE INDEX IF NOT EXISTS live_grants ON grants (live) WHERE live = 1");
    db.run(
      "CREATE TABLE IF NOT EXISTS transitions (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, at_ms INTEGER NOT NULL, event TEXT NOT NULL, state TEXT NOT NULL)",
    );
    db.run("CREATE INDEX IF NOT EXISTS transitions_of ON transitions (key)");
    db.run(
      "CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    );
    return db;
  } catch (cause) {
    db?.close();
    const locked =
      cause instanceof Error && "code" in cause && String(cause.code).startsWith("SQLITE_BUSY");
    if (locked) {
      throw new BridgeError("journal-locked", `another process uses the journal ${path}`, {
        cause,
        fix: "stop the other provider first; one state directory serves one process",
      });
    }
    throw new BridgeError("journal-unwritable", `cannot open the journal ${path}`, { cause });
  }
}

function prepare(db: Database) {
  return {
    meta: db.query<{ value: string }, [string]>("SELECT value FROM meta WHERE name = ?"),
    setMeta: db.query("INSERT OR REPLACE INTO meta VALUES (?, ?)"),
    live: db.query<{ body: Uint8Array }, []>("SELECT body FROM grants WHERE live = 1"),
    has: db.query<{ key: string }, [string]>("SELECT key FROM grants WHERE key = ?"),
    get: db.query<{ body: Uint8Array }, [string]>("SELECT body FROM grants WHERE key = ?"),
    put: db.query("INSERT OR REPLACE INTO grants VALUES (?, ?, ?, ?, ?, ?, ?)"),
    addTransition: db.query(
      "INSERT INTO transitions (key, at_ms, event, state) VALUES (?, ?, ?, ?)",
    ),
    addTotal: db.query(
      "INSERT INTO totals VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2",
    ),
    totals: db.query<{ name: string; value: number }, []>("SELECT name, value FROM totals"),
    spend: db.query<{ day: number; micros: number }, [number]>(
      "SELECT day, SUM(micros) AS micros FROM grants WHERE live = 0 AND day >= ? GROUP BY day",
    ),
    pruneGrants: db.query("DELETE FROM grants WHERE live = 0 AND valid_to < ? AND day < ?"),
    pruneTransitions: db.query(
      "DELETE FROM transitions WHERE key IN (SELECT key FROM grants WHERE live = 0 AND valid_to < ? AND day < ?)",
    ),
    history: db.query<{ atMs: number; event: string; state: string }, [string]>(
      "SELECT at_ms AS atMs, event, state FROM transitions WHERE key = ? ORDER BY seq",
    ),
  };
}

function checkOwner(
  meta: (name: string) => string | undefined,
  setMeta: (name: string, value: string) => void,
  owner: string,
  path: string,
): void {
  const expected = { schema: String(SCHEMA_VERSION), owner };
  for (const [name, value] of Object.entries(expected)) {
    const found = meta(name);
    if (found === undefined) setMeta(name, value);
    else if (found !== value) {
      throw new BridgeError(
        "journal-foreign",
        `the journal ${path} has ${name} ${found}, not ${value}`,
        {
          fix: "give every provider a state directory of its own",
        },
      );
    }
  }
}

/** A row that could not be read again must not be written: that would stop every later start. */
function encodeState(state: GrantState): Uint8Array {
  const body = encodeCanonical(state);
  assert(body.length <= STATE_BYTES_MAX, `a grant's state has ${body.length} bytes`);
  return body;
}

/** Our own bytes, written under the schema version that was checked when the journal was opened. */
function decodeState(body: Uint8Array): GrantState {
  return decodeCanonical(new Uint8Array(body), STATE_BYTES_MAX) as unknown as GrantState;
}
