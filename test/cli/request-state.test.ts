/** A request's folder: nothing is written before the request is whole, and nothing of somebody else's is lost. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "../../src/base/bytes.ts";
import {
  makeFolder,
  readState,
  type SavedRequest,
  saveState,
} from "../../src/cli/request-state.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { packRequest } from "../../src/zipnet/message.ts";
import { testOrder } from "../support/actors.ts";
import { alteredCoalition, testCeremony } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";

const ceremony = testCeremony();
const { coalition } = ceremony;
const root = mkdtempSync(join(tmpdir(), "compute-bridge-state-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
function fresh(): string {
  folders += 1;
  return join(root, `${folders}`);
}

const { record, state } = composeRequest(coalition, testOrder(), 5);
const saved: SavedRequest = {
  ...state,
  message: toHex(packRequest(record)),
  sent: false,
  login: { kind: "file", path: "/home/me/mykey" },
};

describe("a request's folder", () => {
  test("is made for its owner alone, empty, and may be there already", () => {
    const dir = join(fresh(), "deep");
    makeFolder(dir);
    makeFolder(dir);
    expect([readdirSync(dir), statSync(dir).mode & 0o777]).toEqual([[], 0o700]);
  });

  test("gives back what was saved, login included, and holds it for its owner alone", () => {
    const dir = fresh();
    makeFolder(dir);
    saveState(dir, saved);
    saveState(dir, { ...saved, sent: true });
    expect(readState(dir, coalition)).toEqual({ ...saved, sent: true });
    expect(readdirSync(dir)).toEqual(["request.json"]);
    expect(statSync(join(dir, "request.json")).mode & 0o777).toBe(0o600);
  });

  test("that holds a request, or a file the receipt would overwrite, is not taken", () => {
    for (const name of ["request.json", "id_ed25519", "known_hosts", "ssh_config"]) {
      const dir = fresh();
      mkdirSync(dir);
      writeFileSync(join(dir, name), "somebody's");
      expect([name, codeThrownBy(() => makeFolder(dir))]).toEqual([name, "bad-argument"]);
    }
  });

  test("that cannot be made or written is a bad argument", () => {
    const file = join(root, "file");
    writeFileSync(file, "");
    expect(codeThrownBy(() => makeFolder(join(file, "below")))).toBe("bad-argument");
    expect(codeThrownBy(() => saveState(join(root, "missing"), saved))).toBe("bad-argument");
  });

  test("without a request, with a spoilt one or another coalition's, is not gone on with", () => {
    const dir = fresh();
    expect(codeThrownBy(() => readState(dir, coalition))).toBe("bad-argument");
    makeFolder(dir);
    for (const text of ["", "{", JSON.stringify({ ...saved, login: undefined })]) {
      writeFileSync(join(dir, "request.json"), text);
      expect([text.slice(0, 1), codeThrownBy(() => readState(dir, coalition))]).toEqual([
        text.slice(0, 1),
        "bad-argument",
      ]);
    }
    saveState(dir, saved);
    const other = alteredCoalition(ceremony, (file) => ({ ...file, currency: "USD" }));
    expect(() => readState(dir, other)).toThrow("another coalition");
    expect(readState(dir, coalition)).toEqual(saved);
  });
});
