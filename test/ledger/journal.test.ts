/** The journal on real files: what is acknowledged is there after any death, and nobody else writes it. */
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BridgeError } from "../../src/base/errors.ts";
import { STATE_BYTES_MAX } from "../../src/base/limits.ts";
import { type Journal, openJournal } from "../../src/ledger/journal.ts";
import type { GrantState } from "../../src/ledger/state.ts";
import { codeThrownBy } from "../support/codes.ts";
import { OWNER, rowOf } from "./journal-rows.ts";
import { EVERY_STATE, stateNamed } from "./samples.ts";

const folder = mkdtempSync(join(tmpdir(), "journal-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const freshPath = (): string => {
  files += 1;
  return join(folder, `${files}.db`);
};

const put = (journal: Journal, ...states: readonly GrantState[]): void =>
  journal.commit(
    states.map((after) => ({ event: "granted", after })),
    new Map([["grants:seen", states.length]]),
    1000,
  );

describe("a journal", () => {
  test("gives back every kind of state as it was written", () => {
    const path = freshPath();
    const journal = openJournal(path, OWNER);
    const states = EVERY_STATE.map(([, state], i) => ({ ...state, key: `key-${i}` }));
    put(journal, ...states);
    journal.close();
    const again = openJournal(path, OWNER);
    for (const state of states) expect(again.get(state.key)).toEqual(state);
    again.close();
  });

  test("lists as live exactly what is not settled", () => {
    const journal = openJournal(freshPath(), OWNER);
    put(journal, { ...stateNamed("closed"), key: "a" }, { ...stateNamed("running"), key: "b" });
    put(journal, { ...stateNamed("refused, announced"), key: "c" });
    put(journal, { ...stateNamed("refused"), key: "d" });
    expect(
      journal
        .live()
        .map((state) => state.key)
        .sort(),
    ).toEqual(["b", "d"]);
    expect(["a", "b", "c", "d", "e"].map((key) => journal.has(key))).toEqual([
      true,
      true,
      true,
      true,
      false,
    ]);
    expect(journal.get("e")).toBeUndefined();
    journal.close();
  });

  test("keeps the newest state of a grant and the history of all", () => {
    const journal = openJournal(freshPath(), OWNER);
    journal.commit([{ event: "granted", after: stateNamed("received") }], new Map(), 1);
    journal.commit([{ event: "opened", after: stateNamed("resolved") }], new Map(), 2);
    const { key } = stateNamed("received");
    expect(journal.get(key)?.state).toBe("resolved");
    expect(journal.history(key)).toEqual([
      { atMs: 1, event: "granted", state: "received" },
      { atMs: 2, event: "opened", state: "resolved" },
    ]);
    journal.close();
  });

  test("adds totals up over restarts", () => {
    const path = freshPath();
    for (let run = 0; run < 3; run += 1) {
      const journal = openJournal(path, OWNER);
      put(journal, rowOf(run), rowOf(run + 10));
      journal.close();
    }
    const journal = openJournal(path, OWNER);
    expect(journal.totals()).toEqual(new Map([["grants:seen", 6]]));
    journal.close();
  });

  test("sums the spend of settled grants by day", () => {
    const journal = openJournal(freshPath(), OWNER);
    const closed = stateNamed("closed");
    const on = (key: string, day: number, micros: number) => ({
      ...closed,
      key,
      spend: { day, micros },
    });
    put(journal, on("a", 1, 5), on("b", 1, 6), on("c", 2, 7), on("d", 0, 8));
    put(journal, { ...stateNamed("running"), key: "e", spend: { day: 2, micros: 100 } });
    expect(journal.settledSpend(1)).toEqual(
      new Map([
        [1, 11],
        [2, 7],
      ]),
    );
    journal.close();
  });

  test("forgets what was settled before a tick, and nothing that lives", () => {
    const journal = openJournal(freshPath(), OWNER);
    const until = (state: GrantState, key: string, validToTick: number) => ({
      ...state,
      key,
      grant: { ...state.grant, validToTick },
    });
    put(
      journal,
      until(stateNamed("closed"), "old", 9),
      until(stateNamed("closed"), "newer", 10),
      until(stateNamed("running"), "old but live", 9),
    );
    journal.prune(10, stateNamed("closed").spend.day); // its cost still counts
    expect(journal.has("old")).toBe(true);
    journal.prune(10, stateNamed("closed").spend.day + 1);
    expect(["old", "newer", "old but live"].map((key) => journal.has(key))).toEqual([
      false,
      true,
      true,
    ]);
    expect(journal.history("old")).toEqual([]);
    expect(journal.history("newer").length).toBe(1);
    journal.close();
  });

  test("is a file of its owner's alone, and so are the files beside it", () => {
    const path = freshPath();
    const journal = openJournal(path, OWNER);
    put(journal, rowOf(1));
    for (const name of [path, `${path}-wal`]) expect(statSync(name).mode & 0o777).toBe(0o600);
    journal.close();
  });

  test("is not written with a row that could not be read again", () => {
    const journal = openJournal(freshPath(), OWNER);
    const huge = { ...stateNamed("refused"), detail: "x".repeat(STATE_BYTES_MAX) } as GrantState;
    expect(codeThrownBy(() => put(journal, huge))).toBe("invariant");
    const broken = { ...stateNamed("refused"), detail: "\ud800" } as GrantState;
    expect(codeThrownBy(() => put(journal, rowOf(1), broken))).toBe("malformed");
    expect(journal.live()).toEqual([]);
    journal.close();
  });
});

describe("a journal is refused", () => {
  test("while another process writes it", async () => {
    const path = freshPath();
    const writer = Bun.spawn([process.execPath, join(import.meta.dir, "journal-writer.ts"), path], {
      stdout: "pipe",
      stderr: "inherit",
    });
    try {
      await writer.stdout.getReader().read();
      expect(codeThrownBy(() => openJournal(path, OWNER))).toBe("journal-locked");
    } finally {
      writer.kill("SIGKILL");
      await writer.exited;
    }
    openJournal(path, OWNER).close();
  });

  test("while this process has it open already", () => {
    const path = freshPath();
    const journal = openJournal(path, OWNER);
    expect(codeThrownBy(() => openJournal(path, OWNER))).toBe("journal-locked");
    journal.close();
  });

  test("when it is another provider's, and is left as it was", () => {
    const path = freshPath();
    const journal = openJournal(path, OWNER);
    put(journal, rowOf(1));
    journal.close();
    expect(codeThrownBy(() => openJournal(path, "provider-b"))).toBe("journal-foreign");
    const again = openJournal(path, OWNER);
    expect(again.live().length).toBe(1);
    again.close();
  });

  test("when it was written under another schema", () => {
    const path = freshPath();
    openJournal(path, OWNER).close();
    const db = new Database(path);
    db.run("UPDATE meta SET value = '2' WHERE name = 'schema'");
    db.close();
    expect(codeThrownBy(() => openJournal(path, OWNER))).toBe("journal-foreign");
  });

  test("when it is no database, or its folder is not there", () => {
    const path = freshPath();
    writeFileSync(path, "not a database, but long enough to be looked at as one".repeat(20));
    expect(codeThrownBy(() => openJournal(path, OWNER))).toBe("journal-unwritable");
    expect(codeThrownBy(() => openJournal(join(folder, "no", "such.db"), OWNER))).toBe(
      "journal-unwritable",
    );
  });

  test("and says in each case what to do", () => {
    const path = freshPath();
    openJournal(path, OWNER).close();
    try {
      openJournal(path, "provider-b");
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(BridgeError);
      expect((error as BridgeError).fix?.length).toBeGreaterThan(10);
    }
  });
});

describe("death in the middle", () => {
  test("every acknowledged commit is there after kill -9, whole, whatever the moment", async () => {
    const path = freshPath();
    let acknowledged = -1;
    for (let round = 0; round < 6; round += 1) {
      const writer = Bun.spawn(
        [process.execPath, join(import.meta.dir, "journal-writer.ts"), path],
        {
          stdout: "pipe",
          stderr: "inherit",
        },
      );
      let said = "";
      const reader = writer.stdout.getReader();
      // Killed after so many acknowledged commits, wherever the next one has got to by then.
      while (said.split("\n").length < 5 + 7 * round) {
        said += Buffer.from((await reader.read()).value ?? new Uint8Array()).toString();
      }
      writer.kill("SIGKILL");
      await writer.exited;
      for (let rest = await reader.read(); !rest.done; rest = await reader.read())
        said += Buffer.from(rest.value).toString();
      const lines = said.slice(0, said.lastIndexOf("\n")).split("\n");
      const last = Number(lines.at(-1));
      expect(last).toBeGreaterThan(acknowledged);
      acknowledged = last;
      const journal = openJournal(path, OWNER);
      const live = new Map(journal.live().map((state) => [state.key, state]));
      for (let n = 0; n <= 2 * acknowledged + 1; n += 1) {
        expect(live.get(rowOf(n).key)).toEqual(rowOf(n));
      }
      const commits = journal.totals().get("commits") ?? 0;
      expect(commits).toBeGreaterThan(acknowledged); // at most one more than was said
      expect(commits).toBeLessThanOrEqual(acknowledged + 2);
      expect(live.size).toBe(2 * commits); // both rows of a commit or none
      journal.close();
    }
  }, 60_000);

  test("a transaction that fails half-way leaves nothing", () => {
    const journal = openJournal(freshPath(), OWNER);
    const impossible = { event: Symbol("no text") as unknown as string, after: rowOf(2) };
    expect(
      codeThrownBy(() =>
        journal.commit([{ event: "granted", after: rowOf(1) }, impossible], new Map([["n", 1]]), 1),
      ),
    ).toBe("journal-unwritable");
    expect(journal.live()).toEqual([]);
    expect(journal.totals().size).toBe(0);
    put(journal, rowOf(3));
    expect(journal.live().length).toBe(1);
    journal.close();
  });

  test("a copy of the files taken at any commit opens, as after a power cut", () => {
    const path = freshPath();
    const journal = openJournal(path, OWNER);
    for (let n = 0; n < 5; n += 1) {
      put(journal, rowOf(n));
      const copy = freshPath();
      for (const suffix of ["", "-wal"]) writeFileSync(copy + suffix, readFileSync(path + suffix));
      const found = openJournal(copy, OWNER);
      expect(found.live().length).toBe(n + 1);
      found.close();
    }
    journal.close();
  });
});

test("a file that may only be read is refused at the start", () => {
  if (process.getuid?.() === 0) return checkAsNobody();
  const path = freshPath();
  openJournal(path, OWNER).close();
  chmodSync(path, 0o400);
  expect(codeThrownBy(() => openJournal(path, OWNER))).toBe("journal-unwritable");
});

/** Root may write anything, so the check runs in a process that is not root. */
function checkAsNobody(): void {
  const path = freshPath();
  openJournal(path, OWNER).close();
  chmodSync(folder, 0o755);
  chmodSync(path, 0o444);
  const source = `
    import { openJournal } from ${JSON.stringify(join(import.meta.dir, "../../src/ledger/journal.ts"))};
    process.setgid(65534); process.setuid(65534);
    try { openJournal(${JSON.stringify(path)}, ${JSON.stringify(OWNER)}); console.log("opened"); }
    catch (error) { console.log(error.code); }`;
  const { stdout } = Bun.spawnSync([process.execPath, "-e", source]);
  expect(stdout.toString().trim()).toBe("journal-unwritable");
}
