/** `config check --member` and `coalition run` say the same of a member's secrets, and no state folder is made. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeCeremony } from "../../src/coalition/ceremony-files.ts";
import { readCoalition } from "../../src/coalition/config.ts";
import { type CheckLine, checkMember } from "../../src/config/check.ts";
import { loadMemberConfig, readConfigFile } from "../../src/config/load.ts";
import { memberChecks } from "../../src/member.ts";
import { testCeremony } from "../support/coalition.ts";
import { program } from "./program.ts";

const root = mkdtempSync(join(tmpdir(), "compute-bridge-check-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeAll(() =>
  writeCeremony(join(root, "made"), testCeremony(), () => ({ listen: "/ip4/127.0.0.1/tcp/0" })),
);

let count = 0;
/** A copy of the ceremony's files, with member 2's changed; the path of its configuration. */
function member2(change: (folder: string, other: string) => void): string {
  count += 1;
  const dir = join(root, `${count}`);
  cpSync(join(root, "made"), dir, { recursive: true });
  change(join(dir, "member-2"), join(dir, "member-1"));
  return join(dir, "member-2", "member.toml");
}

const take = (name: string) => (folder: string, other: string) =>
  writeFileSync(join(folder, name), readFileSync(join(other, name)));
const put = (name: string, text: string) => (folder: string) =>
  writeFileSync(join(folder, name), text);
const index = (value: number) => (folder: string) => {
  const path = join(folder, "member.toml");
  writeFileSync(path, readFileSync(path, "utf8").replace("index = 2", `index = ${value}`));
};

function failures(config: string): string[] {
  const load = () => loadMemberConfig(readConfigFile(config));
  const lines: readonly CheckLine[] = checkMember(load, { env: {}, readCoalition, memberChecks });
  return lines.filter(({ status }) => status === "fail").map(({ path }) => path);
}

const all = ["member.key", "member.grantShare", "member.unsealShare"];
const cases: readonly [what: string, change: Parameters<typeof member2>[0], failing: string[]][] = [
  ["nothing", () => {}, []],
  ["another member's key", take("member.key"), ["member.key"]],
  ["another member's grant share", take("grant.share"), ["member.grantShare"]],
  ["another member's unseal share", take("unseal.share"), ["member.unsealShare"]],
  ["a share that is no hex", put("grant.share", "garbage"), ["member.grantShare"]],
  ["a share of zeros", put("unseal.share", "0".repeat(64)), ["member.unsealShare"]],
  ["a share above the group's order", put("grant.share", "f".repeat(64)), ["member.grantShare"]],
  ["another index", index(1), all],
  ["an index of nobody", index(9), all],
];

test.each(cases)("wrong with member 2: %s", (_, change, failing) => {
  expect(failures(member2(change))).toEqual(failing);
});

test("as processes: exit code 2, and neither starts anything", async () => {
  const config = member2(take("unseal.share"));
  const checked = await program("config", "check", "--member", "--config", config);
  expect([checked.exitCode, checked.stderr]).toEqual([2, ""]);
  expect(checked.stdout).toMatch(
    /^fail {2}member\.unsealShare {2}the unseal share does not match/m,
  );
  const run = await program("coalition", "run", "--config", config);
  expect([run.exitCode, run.stdout]).toEqual([2, ""]);
  expect(run.stderr).toMatch(/^compute-bridge: config-invalid: the unseal share[^\n]+\n$/);
  expect(existsSync(join(config, "../state"))).toBe(false);
});
