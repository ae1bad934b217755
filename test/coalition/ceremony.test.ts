/** The ceremony: its file, its shares, and which thresholds it agrees to. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ed25519, ristretto255 } from "@noble/curves/ed25519.js";
import { toHex } from "../../src/base/bytes.ts";
import { COMMITTEE_MEMBERS_MAX } from "../../src/base/limits.ts";
import { faultyTolerated } from "../../src/coalition/ceremony.ts";
import {
  checkThresholds,
  memberByKey,
  readCoalition,
  THRESHOLD_MIN,
} from "../../src/coalition/config.ts";
import { createSigner } from "../../src/coalition/signing.ts";
import { checkUnsealShare } from "../../src/zipnet/tdh2.ts";
import { memberKey, secretsOf, testCeremony } from "../support/coalition.ts";
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

describe("a ceremony", () => {
  for (const [members, threshold] of [
    [3, 2],
    [4, 3],
    [5, 4],
    [7, 5],
  ] as const) {
    test(`${members} members, ${threshold} needed: the file reads back as the coalition it made`, () => {
      const ceremony = testCeremony({ members, threshold });
      const read = readCoalition(written(ceremony.toml));
      expect(read).toEqual(ceremony.coalition);
      expect(read.file.ceremony).toBe("single-machine");
    });

    test(`${members} members, ${threshold} needed: every share fits its public key, and no other`, () => {
      const ceremony = testCeremony({ members, threshold });
      const { coalition } = ceremony;
      for (const { index } of coalition.members) {
        const { grantShare, unsealShare } = secretsOf(ceremony, index);
        createSigner(coalition, index, grantShare);
        checkUnsealShare(coalition.unsealShareKeys.get(index), unsealShare);
        const next = (index % members) + 1;
        expect(codeThrownBy(() => createSigner(coalition, next, grantShare))).toBe(
          "config-invalid",
        );
        expect(
          codeThrownBy(() => checkUnsealShare(coalition.unsealShareKeys.get(next), unsealShare)),
        ).toBe("config-invalid");
      }
      expect(codeThrownBy(() => createSigner(coalition, 1, new Uint8Array(32)))).toBe(
        "config-invalid",
      );
      expect(codeThrownBy(() => checkUnsealShare(undefined, new Uint8Array(32)))).toBe(
        "config-invalid",
      );
    });
  }

  test("the group keys are what the shares interpolate to", () => {
    const ceremony = testCeremony({ members: 4, threshold: 3 });
    const { coalition } = ceremony;
    const { Fn } = ed25519.Point;
    const at = (share: "grantShare" | "unsealShare", xs: readonly number[]): bigint =>
      xs.reduce((sum, x) => {
        const others = xs.filter((other) => other !== x).map(BigInt);
        const top = others.reduce((product, other) => Fn.mul(product, other), 1n);
        const bottom = others.reduce(
          (product, other) => Fn.mul(product, Fn.sub(other, BigInt(x))),
          1n,
        );
        const y = Fn.fromBytes(secretsOf(ceremony, x)[share]);
        return Fn.add(sum, Fn.mul(y, Fn.mul(top, Fn.inv(bottom))));
      }, 0n);
    for (const xs of [
      [1, 2, 3],
      [2, 3, 4],
      [4, 1, 3],
    ]) {
      const grant = ed25519.Point.BASE.multiply(at("grantShare", xs));
      const unseal = ristretto255.Point.BASE.multiply(at("unsealShare", xs));
      expect(grant.toHex()).toBe(toHex(coalition.grantKey));
      expect(toHex(unseal.toBytes())).toBe(toHex(coalition.unsealKey));
    }
  });

  test("members are found by their key, and only they", () => {
    const ceremony = testCeremony();
    expect(memberByKey(ceremony.coalition, memberKey(ceremony, 2).publicKey)?.index).toBe(2);
    expect(memberByKey(ceremony.coalition, new Uint8Array(32))).toBeUndefined();
  });
});

describe("thresholds", () => {
  // members, grant threshold, unseal threshold, faulty, and whether any two quorums share an honest member
  const table: readonly [n: number, grant: number, unseal: number, faulty: number, ok: boolean][] =
    [
      [1, 1, 1, 0, false], // a majority, but no threshold key
      [2, 1, 1, 0, false],
      [2, 2, 2, 0, true],
      [3, 1, 2, 0, false],
      [3, 2, 1, 0, false],
      [3, 2, 2, 0, true],
      [3, 2, 2, 1, false],
      [3, 3, 3, 1, true],
      [3, 4, 2, 0, false],
      [4, 2, 2, 0, false],
      [4, 2, 3, 0, false], // the sum exceeds n, but two grant quorums may be apart
      [4, 3, 3, 0, true],
      [4, 3, 3, 1, true],
      [4, 3, 3, 2, false],
      [4, 3, 4, 1, true],
      [5, 3, 3, 0, true],
      [5, 3, 3, 1, false],
      [7, 5, 5, 2, true],
      [7, 5, 4, 2, false],
      [15, 8, 8, 0, true],
    ];
  for (const [n, grant, unseal, faulty, ok] of table) {
    test(`${n} members, ${grant} to grant, ${unseal} to unseal, ${faulty} faulty: ${ok ? "taken" : "refused"}`, () => {
      const code = codeThrownBy(() => checkThresholds(n, grant, unseal, faulty));
      expect(code).toBe(ok ? undefined : "config-invalid");
    });
  }

  test("what is taken keeps the promise of DESIGN 6.2, for every small committee", () => {
    for (let n = 1; n <= 8; n += 1) {
      for (let grant = 1; grant <= n; grant += 1) {
        for (let unseal = 1; unseal <= n; unseal += 1) {
          for (let faulty = 0; faulty <= n; faulty += 1) {
            if (codeThrownBy(() => checkThresholds(n, grant, unseal, faulty)) !== undefined)
              continue;
            expect(2 * grant > n && 2 * unseal > n && grant + unseal > n + faulty).toBe(true);
          }
        }
      }
    }
  });

  test("the ceremony claims as many faulty members as it can stand, and no more", () => {
    for (let n = THRESHOLD_MIN; n <= COMMITTEE_MEMBERS_MAX; n += 1) {
      for (let t = Math.floor(n / 2) + 1; t <= n; t += 1) {
        const faulty = faultyTolerated(n, t);
        expect(codeThrownBy(() => checkThresholds(n, t, t, faulty))).toBeUndefined();
        const more = codeThrownBy(() => checkThresholds(n, t, t, faulty + 1));
        expect(more !== undefined || n - (faulty + 1) < t).toBe(true); // unsafe, or never enough signers
      }
    }
  });
});
