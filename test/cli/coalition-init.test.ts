/** `coalition init` writes files that every reader takes, or none. */
import { afterAll, describe, expect, spyOn, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BridgeError } from "../../src/base/errors.ts";
import { coalitionInitCommand } from "../../src/cli/coalition-init.ts";
import { parseCommandLine } from "../../src/cli/command.ts";
import { readCoalition } from "../../src/coalition/config.ts";
import { loadMemberConfig, readConfigFile } from "../../src/config/load.ts";
import { program } from "./program.ts";

const root = mkdtempSync(join(tmpdir(), "compute-bridge-init-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
const newDir = (): string => {
  count += 1;
  return join(root, `${count}`);
};

/** What a run throws, or undefined when it succeeds. */
async function init(dir: string, ...argv: readonly string[]): Promise<BridgeError | undefined> {
  const silence = spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    const values = parseCommandLine(coalitionInitCommand, ["--dir", dir, ...argv]);
    expect(await coalitionInitCommand.run(values)).toBe(0);
    return undefined;
  } catch (error) {
    if (error instanceof BridgeError) return error;
    throw error;
  } finally {
    silence.mockRestore();
  }
}

const network = (dir: string, index: number) =>
  loadMemberConfig(readConfigFile(join(dir, `member-${index}`, "member.toml"))).config.network;

describe("what it writes is read back", () => {
  const hosts: readonly [host: string, dial: string, listen: string, announce: string[]][] = [
    ["10.0.0.5", "/ip4/10.0.0.5", "/ip4/10.0.0.5", []],
    ["2001:4860::8", "/ip6/2001:4860::8", "/ip6/2001:4860::8", []],
    ["a.example.org", "/dns4/a.example.org", "/ip4/0.0.0.0", ["/dns4/a.example.org/tcp/5001"]],
  ];
  test.each(hosts)("--host %s", async (host, dial, listen, announce) => {
    const dir = newDir();
    expect(await init(dir, "--host", host, "--port", "5000", "--currency", "EUR")).toBeUndefined();
    const { file, members } = readCoalition(join(dir, "coalition.toml"));
    expect(file.currency).toBe("EUR");
    expect(members.map(({ addresses }) => addresses[0]?.split("/p2p/")[0])).toEqual([
      `${dial}/tcp/5000`,
      `${dial}/tcp/5001`,
      `${dial}/tcp/5002`,
    ]);
    expect(network(dir, 2)).toEqual({ listen: [`${listen}/tcp/5001`], announce });
  });

  test("secrets are their owner's, and nothing is overwritten", async () => {
    const dir = newDir();
    expect(await init(dir, "--members", "4")).toBeUndefined();
    expect(readdirSync(dir).toSorted()).toEqual([
      "coalition.toml",
      ...[1, 2, 3, 4].map((index) => `member-${index}`),
    ]);
    for (const name of ["member.key", "grant.share", "unseal.share"]) {
      expect(statSync(join(dir, "member-3", name)).mode & 0o777).toBe(0o600);
    }
    expect(await init(dir)).toMatchObject({ code: "bad-argument" });
    rmSync(join(dir, "coalition.toml"));
    expect((await init(dir))?.message).toContain("--dir");
  });
});

describe("what is wrong names its option, and nothing is written", () => {
  test.each([
    ["--members", "1"],
    ["--members", "16"],
    ["--threshold", "1"],
    ["--threshold", "4"],
    ["--currency", "usd"],
    ["--currency", "US"],
    ["--name", "a b"],
    ["--name", ""],
    ["--host", "a/b"],
    ["--host", "10.0.0"],
    ["--host", "a-.example.org"],
    ["--host", "0.0.0.0"],
    ["--host", "::"],
    ["--host", "192.0.2.1"],
    ["--host", ""],
    ["--port", "0"],
    ["--tick-ms", "99"],
  ])("%s %p", async (option, text) => {
    const dir = newDir();
    const error = await init(dir, option, text);
    expect(error?.code).toBe("bad-argument");
    expect(error?.message).toStartWith(option);
    expect(error?.cause).toBeUndefined();
    expect(existsSync(dir)).toBe(false);
  });
});

test("a folder that cannot be made: exit code 2, one line", async () => {
  const refused = await program("coalition", "init", "--dir", "/proc/compute-bridge");
  expect(refused).toEqual({
    exitCode: 2,
    stdout: "",
    stderr: expect.stringMatching(/^compute-bridge: bad-argument: --dir: [^\n]+\n$/),
  });
});
