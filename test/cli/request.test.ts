/** `request` and `demo` as processes: what goes to which stream, exit codes, and going on in the same folder. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sshPrivateFile, sshPublicLine } from "../../src/base/ssh-keys.ts";
import { keyNamed, seedNamed } from "../support/coalition.ts";
import { eventually } from "../support/eventually.ts";
import { PROJECT } from "../support/vectors.ts";
import { type Ended, program } from "./program.ts";

const root = mkdtempSync(join(tmpdir(), "compute-bridge-request-"));
const PATIENCE_MS = 60_000;
let demo: ReturnType<typeof startDemo> | undefined;
let coalitionFile = "";

/** A coalition and a provider that stay, and what their process writes. */
function startDemo() {
  const child = Bun.spawn(
    [
      process.execPath,
      join(PROJECT, "src/main.ts"),
      "demo",
      "--keep",
      "--json",
      "--ssh-command",
      "true",
    ],
    { env: { ...process.env, TMPDIR: root }, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const written = { stdout: "", stderr: "" };
  const collect = async (name: "stdout" | "stderr"): Promise<void> => {
    for await (const chunk of child[name]) written[name] += Buffer.from(chunk).toString();
  };
  const closed = Promise.all([collect("stdout"), collect("stderr")]);
  return { child, written, closed };
}

beforeAll(async () => {
  demo = startDemo();
  const { written } = demo;
  const dir = await eventually(
    "the demo is up",
    () => /^kept +(.+)$/m.exec(written.stderr)?.[1],
    PATIENCE_MS,
  );
  coalitionFile = join(dir, "coalition", "coalition.toml");
}, PATIENCE_MS);

afterAll(async () => {
  demo?.child.kill("SIGTERM"); // if its test has not ended it
  await demo?.closed;
  rmSync(root, { recursive: true, force: true });
});

const request = (...argv: readonly string[]): Promise<Ended> =>
  program("request", "--coalition", coalitionFile, ...argv);

describe("in one folder", () => {
  const dir = join(root, "mine");
  const keyFile = join(root, "mykey");
  writeFileSync(keyFile, sshPrivateFile(seedNamed("mine")), { mode: 0o600 });
  writeFileSync(`${keyFile}.pub`, `${sshPublicLine(keyNamed("mine").publicKey)}\n`);
  let requestId = "";

  test("an order that is refused leaves nothing, so that the next one can be right", async () => {
    for (const wrong of [
      ["--ssh-key", join(root, "nope.pub")],
      ["--image-digest", "zz"],
    ]) {
      const { exitCode, stdout, stderr } = await request("--out", dir, ...wrong);
      expect([exitCode, stdout]).toEqual([2, ""]);
      expect(stderr).toMatch(new RegExp(`^compute-bridge: bad-argument: ${wrong[0]} .+\n$`));
      expect(existsSync(dir)).toBe(false);
    }
  });

  test("a command that fails is a request that fails, and its words are shown", async () => {
    const command = "echo bad >&2; echo out; exit 7";
    const flags = ["--ssh-key", `${keyFile}.pub`, "--ssh-command", command, "--json"];
    const { exitCode, stdout, stderr } = await request("--out", dir, ...flags);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining("bad\n")]);
    const answer = JSON.parse(stdout);
    expect(answer).toMatchObject({
      ok: false,
      ssh: { exitCode: 7, stdout: "out\n" },
      attestation: { verdict: "undecided", code: "no-evidence" },
    });
    requestId = answer.requestId;
    for (const note of ["transport direct: ", "undecided (no-evidence)", "ended with 7"])
      expect(stderr).toContain(note);
    expect(readdirSync(dir).sort()).toEqual(["known_hosts", "request.json", "ssh_config"]);
  });

  test("--resume takes no other order", async () => {
    const { exitCode, stderr } = await request("--resume", dir, "--cpu", "4000", "--provider-key");
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining("--cpu, --provider-key")]);
  });

  test("--resume logs in with the key of the first run", async () => {
    for (const name of ["known_hosts", "ssh_config"]) rmSync(join(dir, name));
    const flags = ["--ssh-command", "echo again", "--json"];
    const { exitCode, stdout, stderr } = await request("--resume", dir, ...flags);
    expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
    const ssh = { exitCode: 0, stdout: "again\n" };
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, requestId, ssh });
    expect(readFileSync(join(dir, "ssh_config"), "utf8")).toContain(`IdentityFile "${keyFile}"`);
  });

  test("--wait-log brings the final log, although the machine cuts the line that ended it", async () => {
    const flags = ["--ssh-command", "poweroff", "--wait-log", "--json"];
    const { stdout } = await request("--resume", dir, ...flags);
    expect(JSON.parse(stdout)).toMatchObject({ requestId, log: { status: "completed" } });
  });

  test("a person reads the verdict and the way in, and an unusable key is a failure", async () => {
    const flags = ["--ssh-key", join(root, "lost.pub"), "--ssh-command", "true"];
    writeFileSync(join(root, "lost.pub"), `${sshPublicLine(keyNamed("lost").publicKey)}\n`);
    const own = join(root, "lost request");
    mkdirSync(own);
    const { exitCode, stdout, stderr } = await request("--out", own, ...flags);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/ended with 255|login to the machine failed/);
    expect(stdout).toMatch(/^verdict {3}undecided \(no-evidence\)$/m);
    expect(stdout).toContain(`log in    ssh -F '${join(own, "ssh_config")}' machine\n`);
  });
});

test("demo --keep --json leaves standard output to one line of JSON; Ctrl-C ends what it kept", async () => {
  if (demo === undefined) throw new Error("the demo runs");
  const { child, written, closed } = demo;
  child.kill("SIGINT");
  expect(await child.exited).toBe(0);
  await closed;
  expect(written.stdout.trimEnd().split("\n")).toHaveLength(1);
  expect(JSON.parse(written.stdout)).toMatchObject({ ok: true, ssh: { exitCode: 0 } });
  expect(written.stderr).toMatch(/^admin +http:\S+\nends +with Ctrl-C$/m);
});

test("Ctrl-C in the middle of the demo is one line, not a trace", async () => {
  const { child, written, closed } = startDemo();
  await eventually("it has begun", () => written.stderr.includes("attestation: "), PATIENCE_MS);
  child.kill("SIGINT");
  expect(await child.exited).toBe(1);
  await closed;
  expect(JSON.parse(written.stdout)).toMatchObject({ ok: false, code: "closed" });
  expect(written.stderr).toMatch(/^compute-bridge: closed: interrupted; .+\n$/m);
  expect(written.stderr).not.toContain("    at ");
});
