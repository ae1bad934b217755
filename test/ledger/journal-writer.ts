/**
 * A process that commits as fast as it can until somebody kills it: `bun journal-writer.ts PATH`. It says on stdout
 * what has returned from commit, one number a line, before it begins the next.
 */
import { writeSync } from "node:fs";
import { openJournal } from "../../src/ledger/journal.ts";
import { OWNER, rowOf } from "./journal-rows.ts";

const path = process.argv[2];
if (path === undefined) throw new Error("usage: bun journal-writer.ts PATH");
const journal = openJournal(path, OWNER);
const first = journal.totals().get("commits") ?? 0;
for (let n = first; ; n += 1) {
  const changes = [rowOf(2 * n), rowOf(2 * n + 1)].map((after) => ({ event: "granted", after }));
  journal.commit(changes, new Map([["commits", 1]]), n);
  journal.setMeta("last", String(n));
  writeSync(1, `${n}\n`);
}
