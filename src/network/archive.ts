/** Keeps the records of a node that must remember them across restarts (committee members). */
import { Database } from "bun:sqlite";
import { makePrivate } from "../base/private-file.ts";

export interface ArchivedRecord {
  readonly key: string;
  readonly bytes: Uint8Array;
}

export interface Archive {
  put(kind: string, key: string, bytes: Uint8Array): void;
  remove(kind: string, key: string): void;
  /** Everything kept under one kind, in no particular order. */
  load(kind: string): ArchivedRecord[];
  close(): void;
}

/**
 * A table in its own file. WAL without a sync per record: a lost tail comes back by sync, and what must never be
 * lost (votes, releases, grant states) is not kept here.
 */
export function openArchive(path: string): Archive {
  makePrivate(path);
  const db = new Database(path, { create: true, strict: true });
  db.run("PRAGMA journal_mode = WAL");
  db.run("PRAGMA synchronous = NORMAL");
  db.run(
    "CREATE TABLE IF NOT EXISTS records (kind TEXT, key TEXT, bytes BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID",
  );
  const put = db.query("INSERT OR REPLACE INTO records VALUES (?, ?, ?)");
  const remove = db.query("DELETE FROM records WHERE kind = ? AND key = ?");
  const load = db.query<ArchivedRecord, [string]>("SELECT key, bytes FROM records WHERE kind = ?");
  return {
    put: (kind, key, bytes) => void put.run(kind, key, bytes),
    remove: (kind, key) => void remove.run(kind, key),
    load: (kind) => load.all(kind),
    close: () => db.close(),
  };
}
