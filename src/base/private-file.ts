/** Files that hold secrets: made for their owner alone before anything is written to them. */
import { chmodSync, closeSync, openSync } from "node:fs";

/**
 * Gives the database file mode 0600 before SQLite opens it: the write-ahead log beside it takes its mode from it. A
 * database in memory is left alone.
 */
export function makePrivate(path: string): void {
  if (path === ":memory:") return;
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
}
