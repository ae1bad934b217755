/** State directories: closed to others or refused, and nothing in them that others could read. */
import { afterAll, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../src/base/log.ts";
import { openBallot } from "../../src/coalition/ballot.ts";
import { checkStateDir } from "../../src/config/check-files.ts";
import { openArchive } from "../../src/network/archive.ts";
import {
  forgetDrain,
  lastDrain,
  openProviderState,
  openStateDir,
  recordDrain,
} from "../../src/stages/state-dir.ts";
import { codeThrownBy } from "../support/codes.ts";

const root = mkdtempSync(join(tmpdir(), "compute-bridge-state-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
let dir: string;
beforeEach(() => {
  count += 1;
  dir = join(root, `${count}`, "state");
});

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);
const modes = (): string[] =>
  readdirSync(dir)
    .toSorted()
    .map((name) => `${name} ${modeOf(join(dir, name))}`);

test("one is made for its owner alone", () => {
  openStateDir(dir);
  expect(modeOf(dir)).toBe("700");
  openStateDir(dir);
});

test.each([0o755, 0o701, 0o750, 0o700])("mode %o: the start says what the check says", (mode) => {
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, mode);
  const open = (mode & 0o007) !== 0;
  expect(codeThrownBy(() => openStateDir(dir))).toBe(open ? "unsafe-permissions" : undefined);
  expect(checkStateDir("x", dir).status).toBe(open ? "fail" : "ok");
  expect(codeThrownBy(() => openProviderState(dir, "p").journal.close())).toBe(
    open ? "unsafe-permissions" : undefined,
  );
  if (open) expect(readdirSync(dir)).toEqual([]);
});

test("where none can be made, that is a fault of the configuration", () => {
  mkdirSync(join(dir, ".."));
  writeFileSync(dir, "");
  expect(codeThrownBy(() => openStateDir(dir))).toBe("config-invalid");
  expect(codeThrownBy(() => openStateDir(join(dir, "below")))).toBe("config-invalid");
  expect(codeThrownBy(() => openStateDir("/proc/compute-bridge"))).toBe("config-invalid");
});

test("what a provider keeps there is its owner's", () => {
  const { journal } = openProviderState(dir, "p");
  recordDrain(dir, "live");
  expect(lastDrain(dir)).toBe("live");
  expect(modes()).toEqual([
    "admin.token 600",
    "drain.result 600",
    "journal.db 600",
    "journal.db-wal 600",
    "local.secret 600",
  ]);
  forgetDrain(dir);
  expect(lastDrain(dir)).toBeUndefined();
  journal.close();
});

test("what a member keeps there is its owner's, also what an earlier release left open", () => {
  openStateDir(dir);
  writeFileSync(join(dir, "ballot.db"), "", { mode: 0o644 });
  const ballot = openBallot(join(dir, "ballot.db"), () => 1, silentLogger);
  const archive = openArchive(join(dir, "records.db"));
  ballot.vote(new Uint8Array(32), 1, new Uint8Array(32), () => false);
  archive.put("kind", "key", new Uint8Array(1));
  expect(modes()).toEqual([
    "ballot.db 600",
    "ballot.db-shm 600",
    "ballot.db-wal 600",
    "records.db 600",
    "records.db-shm 600",
    "records.db-wal 600",
  ]);
  ballot.close();
  archive.close();
});

test("a secret that others can read, or that is none, is refused", () => {
  openProviderState(dir, "p").journal.close();
  const secret = join(dir, "local.secret");
  chmodSync(secret, 0o640);
  expect(codeThrownBy(() => openProviderState(dir, "p"))).toBe("unsafe-permissions");
  chmodSync(secret, 0o600);
  writeFileSync(secret, "short");
  expect(codeThrownBy(() => openProviderState(dir, "p"))).toBe("secret-unreadable");
});
