/** The demo as a newcomer runs it: from source, from the compiled binary in a folder of somebody else's, and without OpenSSH. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { needs } from "../support/skip.ts";
import { PROJECT } from "../support/vectors.ts";
import { binary } from "./support/binary.ts";
import { challenge } from "./support/challenge.ts";
import { createSandbox, type Ended, PATIENCE_MS } from "./support/processes.ts";

const sandbox = createSandbox("demo");
afterAll(() => sandbox.close());

const ssh = needs("openssh-client", Bun.which("ssh"));
/** Where the demo keeps keys, state and machines; it removes what it made. */
const scratch = join(sandbox.root, "scratch");
mkdirSync(scratch);
const ENVIRONMENT = { TMPDIR: scratch };

const hex = (bytes: number) => expect.stringMatching(new RegExp(`^[0-9a-f]{${2 * bytes}}$`));
const number = expect.any(Number);

/** All that `demo --json` promises, and nothing else. */
function promised(client: "openssh" | "ssh2", stdout: string): object {
  return {
    ok: true,
    requestId: hex(32),
    providerId: hex(32),
    grant: { attempt: 1, validToTick: number },
    receipt: { host: "127.0.0.1", port: number, user: expect.stringMatching(/./) },
    ssh: { client, exitCode: 0, stdout },
    log: {
      status: "completed",
      usage: {
        cpuCoreSeconds: number,
        ramMibSeconds: number,
        netBytes: null,
        basis: "measured",
      },
    },
    attestation: { verdict: "undecided", code: "no-evidence" },
    timingsMs: {
      requestToGrant: number,
      grantToCreate: number,
      createToReady: number,
      readyToReceipt: number,
      total: number,
    },
  };
}

/** The last line of standard output, which is the whole of it. */
function jsonOf({ exitCode, stdout, stderr }: Ended, expected: number): unknown {
  if (exitCode !== expected) throw new Error(`exit ${exitCode}\n${stdout}${stderr}`);
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  return JSON.parse(stdout);
}

function expectNothingLeft(): void {
  expect(sandbox.processes()).toEqual([]);
  expect(readdirSync(scratch)).toEqual([]);
}

if (ssh !== undefined)
  describe("with OpenSSH", () => {
    test("bun run demo --json prints one line: the whole mission, and what the machine answered", async () => {
      const { command, answer } = challenge();
      const ended = await sandbox.run(
        [process.execPath, "run", "demo", "--json", "--ssh-command", command],
        { cwd: PROJECT, env: ENVIRONMENT },
      );
      expect(jsonOf(ended, 0)).toEqual(promised("openssh", answer));
      expectNothingLeft();
    });

    test("a command that fails on the machine is a demo that fails, with the machine's exit code", async () => {
      const ended = await sandbox.run(
        [binary("development"), "demo", "--json", "--ssh-command", "echo before; exit 7"],
        { env: ENVIRONMENT },
      );
      const result = { ok: false, ssh: { client: "openssh", exitCode: 7, stdout: "before\n" } };
      expect(jsonOf(ended, 1)).toMatchObject(result);
      expectNothingLeft();
    });

    test("Ctrl-C during the login ends the machine, too", async () => {
      const tenant = join(sandbox.root, "tenant");
      const demo = sandbox.start(
        [binary("development"), "demo", "--ssh-command", `touch ${tenant}; sleep 600`],
        { env: ENVIRONMENT },
      );
      await eventually("the command runs", () => existsSync(tenant), PATIENCE_MS);
      demo.kill("SIGINT");
      expect((await demo.ended).exitCode).toBe(1);
      expectNothingLeft();
    });

    test("--keep leaves the provider running behind the address it prints, until Ctrl-C", async () => {
      const demo = sandbox.start([binary("development"), "demo", "--keep"], { env: ENVIRONMENT });
      const address = await eventually(
        "the admin address",
        () => /^admin +(http:\S+)\n/m.exec(demo.stdout())?.[1],
        PATIENCE_MS,
      );
      expect((await fetch(new URL("/readyz", address))).status).toBe(200);
      demo.kill("SIGINT");
      const { exitCode, stdout } = await demo.ended;
      expect(exitCode).toBe(0);
      for (const part of ["--- OpenSSH, exit 0 ---", "hello from ", "usage log  completed"])
        expect(stdout).toContain(part);
      expectNothingLeft();
    });
  });

describe("in a folder of somebody else's, without ssh in PATH", () => {
  const folder = join(sandbox.root, "empty");
  const decoys = join(sandbox.root, "decoys");
  const preloaded = join(sandbox.root, "preloaded");
  mkdirSync(folder);
  mkdirSync(decoys);
  const PLANTS = {
    ".env": `PATH=${decoys}\n`,
    "bunfig.toml": 'preload = ["./preload.ts"]\n',
    "preload.ts": `require("node:fs").writeFileSync(${JSON.stringify(preloaded)}, "ran");\n`,
  };
  for (const [name, text] of Object.entries(PLANTS)) writeFileSync(join(folder, name), text);
  writeFileSync(join(decoys, "ssh"), "#!/bin/sh\necho planted\n", { mode: 0o755 });
  // An absent variable would be taken from .env.
  const noPath = { ...ENVIRONMENT, PATH: undefined };

  test("plain bun takes what is planted, so the plants work", async () => {
    const ended = await sandbox.run([process.execPath, "-e", "console.log(process.env.PATH)"], {
      cwd: folder,
      env: noPath,
    });
    expect(ended.stdout).toBe(`${decoys}\n`);
    expect(existsSync(preloaded)).toBe(true);
  });

  test("the binary takes nothing, logs in with ssh2 and says so", async () => {
    await Bun.file(preloaded).delete();
    const { command, answer } = challenge();
    const demo = [binary("development"), "demo", "--ssh-command", command];
    const options = { cwd: folder, env: noPath };
    expect(jsonOf(await sandbox.run([...demo, "--json"], options), 0)).toEqual(
      promised("ssh2", answer),
    );
    const { exitCode, stdout } = await sandbox.run(demo, options);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`--- ssh2, exit 0 ---\n${answer}---\n`);
    expect(existsSync(preloaded)).toBe(false);
    expect(readdirSync(folder).sort()).toEqual(Object.keys(PLANTS).sort());
    expectNothingLeft();
  });
});

test("production explains in one line that the demo is in the development build, exit 2", async () => {
  const { exitCode, stdout, stderr } = await sandbox.run([binary("production"), "demo"]);
  expect(exitCode).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^compute-bridge: development-only: .*development build.*\n$/);
});
