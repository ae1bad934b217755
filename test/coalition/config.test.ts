/** coalition.toml: what is refused, and what a pin holds. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ed25519 } from "@noble/curves/ed25519.js";
import { toHex } from "../../src/base/bytes.ts";
import { COALITION_FILE_BYTES_MAX } from "../../src/base/limits.ts";
import { type CoalitionFile, coalitionFrom, readCoalition } from "../../src/coalition/config.ts";
import { alteredCoalition, testCeremony } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";

const folder = mkdtempSync(join(tmpdir(), "compute-bridge-coalition-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function written(text: string | Uint8Array): string {
  files += 1;
  const path = join(folder, `${files}.toml`);
  writeFileSync(path, text);
  return path;
}

/** The text of the error with which this file is refused; undefined when it is taken. */
function complaint(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe("a file is refused", () => {
  const ceremony = testCeremony();
  const committee = ceremony.coalition.file.committee;
  const small = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
  const cases: readonly [name: string, change: (file: CoalitionFile) => unknown, text: RegExp][] = [
    [
      "two members with one key",
      ({ committee: c }) => {
        const [first, second] = c.members;
        if (first && second) second.key = first.key;
      },
      /same key/,
    ],
    [
      "a commitment too many",
      ({ committee: c }) => c.grantCommitments.push(c.grantCommitments[0] ?? ""),
      /2 entries/,
    ],
    ["a commitment too few", ({ committee: c }) => c.unsealCommitments.pop(), /2 entries/],
    [
      "a commitment that is no point",
      ({ committee: c }) => c.grantCommitments.splice(1, 1, "f".repeat(64)),
      /valid point/,
    ],
    [
      "a commitment of small order",
      ({ committee: c }) => c.grantCommitments.splice(1, 1, small),
      /valid point/,
    ],
    [
      "an ed25519 point of mixed order",
      ({ committee: c }) => c.grantCommitments.splice(1, 1, mixedOrder()),
      /valid point/,
    ],
    [
      "the identity as unseal key",
      ({ committee: c }) => c.unsealCommitments.splice(0, 1, "0".repeat(64)),
      /valid point/,
    ],
    [
      "a ristretto encoding that is not canonical",
      ({ committee: c }) => c.unsealCommitments.splice(0, 1, `01${"0".repeat(62)}`),
      /valid point/,
    ],
    [
      "a threshold without a majority",
      ({ committee: c }) =>
        Object.assign(c, {
          grantThreshold: 1,
          grantCommitments: committee.grantCommitments.slice(0, 1),
        }),
      /must exceed/,
    ],
    ["a name with a separator", (file) => Object.assign(file, { name: "a|b" }), /\|/],
    ["a name that is not NFC", (file) => Object.assign(file, { name: "Zu\u0308rich" }), /NFC/],
    [
      "a member's name with white space",
      ({ committee: c }) => Object.assign(c.members[0] ?? {}, { name: "a b" }),
      /white space/,
    ],
  ];
  for (const [name, change, text] of cases) {
    test(name, () => {
      const made = complaint(() =>
        alteredCoalition(ceremony, (file) => {
          change(file);
          return file;
        }),
      );
      expect(made).toMatch(text);
    });
  }

  const toml = ceremony.toml;
  const texts: readonly [name: string, text: string | Uint8Array, reason: RegExp][] = [
    ["with an unknown key", toml.replace("[almanac]", "[almanac]\nbeat = 3"), /beat/],
    ["with a wrong type", toml.replace(/periodMs = \d+/, 'periodMs = "1 s"'), /periodMs/],
    ["of another version", toml.replace("version = 1", "version = 2"), /version/],
    ["without members", toml.replaceAll(/\[\[committee\.members\]\][^[]*/g, ""), /members/],
    ["that is no TOML", "name = ", /TOML|line|1/],
    ["that is too large", `${toml}# ${"x".repeat(COALITION_FILE_BYTES_MAX)}`, /larger/],
  ];
  for (const [name, text, reason] of texts) {
    test(name, () => {
      const path = written(text);
      expect(codeThrownBy(() => readCoalition(path))).toBe("config-invalid");
      expect(complaint(() => readCoalition(path))).toMatch(reason);
    });
  }

  test("that is not there", () => {
    expect(codeThrownBy(() => readCoalition(join(folder, "none.toml")))).toBe("config-unreadable");
  });
});

describe("the pin", () => {
  const ceremony = testCeremony();
  const path = written(ceremony.toml);
  const pin = toHex(ceremony.coalition.fingerprint);

  test("holds for this file, whatever its layout and comments", () => {
    expect(readCoalition(path, pin).fingerprint).toEqual(ceremony.coalition.fingerprint);
    const restyled = written(`# another comment\n${ceremony.toml.replaceAll("\n", "\n\n")}`);
    expect(readCoalition(restyled, pin)).toEqual(ceremony.coalition);
  });

  test("breaks with any change of what the file says", () => {
    const changed = written(ceremony.toml.replace("attemptTicks = 6", "attemptTicks = 7"));
    expect(codeThrownBy(() => readCoalition(changed, pin))).toBe("config-invalid");
    expect(complaint(() => readCoalition(changed, pin))).toMatch(/not the pinned one/);
    expect(codeThrownBy(() => readCoalition(path, pin.toUpperCase()))).toBe("malformed");
    expect(codeThrownBy(() => readCoalition(path, pin.slice(2)))).toBe("config-invalid");
  });

  test("a change of members changes the fingerprint, not the network that records are bound to", () => {
    const renamed = alteredCoalition(ceremony, (file) => {
      for (const member of file.committee.members) member.name += "-new";
      return file;
    });
    expect(renamed.fingerprint).not.toEqual(ceremony.coalition.fingerprint);
    expect(renamed.network).toEqual(ceremony.coalition.network);
    const salted = coalitionFrom({ ...ceremony.coalition.file, salt: "0".repeat(64) });
    expect(salted.network).not.toEqual(ceremony.coalition.network);
  });
});

/** The base point plus a point of order 8: on the curve, outside the prime-order group. */
function mixedOrder(): string {
  const torsion = ed25519.Point.fromHex(
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  );
  return ed25519.Point.BASE.add(torsion).toHex();
}
