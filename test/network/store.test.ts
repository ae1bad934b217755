/** The store of one node, and its archive in a real file across restarts. */

import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "../../src/base/bytes.ts";
import { createLogger, type Logger, silentLogger } from "../../src/base/log.ts";
import { type Archive, openArchive } from "../../src/network/archive.ts";
import { createStore } from "../../src/network/store.ts";
import { keyNamed } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { holdings, NETWORK, noteBytes, noteStore, notes } from "./notes.ts";

const folder = mkdtempSync(join(tmpdir(), "compute-bridge-store-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const alice = keyNamed("alice");
let files = 0;

function archivePath(): string {
  files += 1;
  return join(folder, `${files}.db`);
}

describe("the archive", () => {
  test("gives a restarted node back what it held, newest versions only", () => {
    const path = archivePath();
    const first = openArchive(path);
    const before = noteStore({ archive: first });
    before.store.offer(noteBytes(alice, { slot: 0, rank: 1 }));
    before.store.offer(noteBytes(alice, { slot: 0, rank: 2 }));
    before.store.offer(noteBytes(alice, { slot: 1 }));
    first.close();

    const second = openArchive(path);
    const after = noteStore({ archive: second });
    second.close();
    expect(holdings(after)).toBe(holdings(before));
    expect(after.notes.get(`${toHex(alice.publicKey)}:0`)?.body.rank).toBe(2);
  });

  test("forgets what is swept", () => {
    const path = archivePath();
    const first = openArchive(path);
    const before = noteStore({ archive: first });
    before.store.offer(noteBytes(alice, { untilTick: 1 }));
    before.tick = 2;
    before.store.sweep();
    expect(first.load("note")).toEqual([]);
    first.close();
  });

  test("is not trusted: an altered or foreign row is dropped, the rest stays", () => {
    const path = archivePath();
    const first = openArchive(path);
    noteStore({ archive: first }).store.offer(noteBytes(alice, { slot: 1 }));
    first.put("note", "altered", noteBytes(alice, { slot: 2 }).fill(0, 40, 44));
    first.put("note", "no record", new Uint8Array([1, 2, 3]));
    first.close();

    const second = openArchive(path);
    const after = noteStore({ archive: second });
    expect(after.notes.size).toBe(1);
    expect(second.load("note").length).toBe(1);
    second.close();
  });

  test("what it gives back is no news to listeners", () => {
    const path = archivePath();
    const first = openArchive(path);
    noteStore({ archive: first }).store.offer(noteBytes(alice));
    first.close();
    const second = openArchive(path);
    const after = noteStore({ archive: second });
    const heard: string[] = [];
    after.store.onStored((_, kind) => heard.push(kind));
    expect([after.notes.size, heard.length]).toEqual([1, 0]);
    second.close();
  });

  test("that cannot be written any more is reported, and the record is taken all the same", () => {
    const path = archivePath();
    openArchive(path).close();
    const readOnly = new Database(path, { readonly: true });
    const archive: Archive = {
      put: (kind, key, bytes) =>
        void readOnly.query("INSERT INTO records VALUES (?, ?, ?)").run(kind, key, bytes),
      remove: (kind, key) =>
        void readOnly.query("DELETE FROM records WHERE kind = ? AND key = ?").run(kind, key),
      load: () => [],
      close: () => readOnly.close(),
    };
    const lines: string[] = [];
    const held = notes();
    let tick = 0;
    const store = createStore({
      network: NETWORK,
      collections: [held],
      tick: () => tick,
      archive,
      log: loggerInto(lines),
    });
    const heard: string[] = [];
    store.onStored((_, kind) => heard.push(kind));
    expect(store.offer(noteBytes(alice, { untilTick: 0 })).fresh).toBe(true);
    tick = 1;
    store.sweep();
    expect([heard, held.size]).toEqual([["note"], 0]);
    expect(lines.filter((line) => line.includes("archive-unwritable")).length).toBe(2);
    archive.close();
  });
});

describe("several collections", () => {
  test("each takes its own kind", () => {
    const [a, b] = [notes(), notes({ kind: "memo" })];
    const store = createStore({
      network: NETWORK,
      collections: [a, b],
      tick: () => 0,
      log: silentLogger,
    });
    store.offer(noteBytes(alice));
    store.offer(noteBytes(alice, {}, "memo"));
    expect([a.size, b.size]).toEqual([1, 1]);
    expect(codeThrownBy(() => store.offer(noteBytes(alice, {}, "poem")))).toBe("unknown-kind");
  });
});

function loggerInto(lines: string[]): Logger {
  const write = (line: string): void => void lines.push(line);
  return createLogger({ level: "debug", format: "json", write, nowMs: () => 0 });
}
