/**
 * README "Run it for real", command by command as the page has them: three members, a provider and a requester as
 * processes of the compiled binary, and a real OpenSSH login. On the way the provider is killed while its machine
 * runs, once with its journal and once without. Each test goes on where the one before stopped.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { randomSeed, signingKey } from "../../src/base/ed25519.ts";
import { knownHostsLine } from "../../src/base/ssh-keys.ts";
import { providerId } from "../../src/coalition/ids.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/ports.ts";
import { needs } from "../support/skip.ts";
import { binary } from "./support/binary.ts";
import { liveGrants, machineFolders, machinePids } from "./support/books.ts";
import { challenge, checkLogin } from "./support/challenge.ts";
import { freePortRange } from "./support/coalition.ts";
import { type Observer, observe } from "./support/observer.ts";
import { createSandbox, type Ended, PATIENCE_MS, type Running } from "./support/processes.ts";
import { adapt, commandsUnder, type PageCommand } from "./support/readme.ts";

const openssh = needs("openssh-client", Bun.which("ssh"));
const openssl = needs("openssl", Bun.which("openssl"));
const sandbox = createSandbox("five-processes");
afterAll(() => sandbox.close());

const out = join(sandbox.root, "my-machine");
const stateDir = join(sandbox.root, "provider/state");
const PROVIDER = "compute-bridge-dev provider";

/** The page, and how far we are on it. */
let page: PageCommand[] = [];
let environment: Record<string, string> = {};
const members: Running[] = [];
let provider: Running;
let observer: Observer;

/** Runs the page's next command, which must begin like this. */
async function next(beginning: string, stdin?: string): Promise<Ended> {
  const command = take(beginning, false);
  const input = stdin === undefined ? {} : { stdin };
  return await sandbox.run(["bash", "-c", command], { env: environment, ...input });
}

/** Starts the page's next command, which it runs in the background. */
function nextInBackground(beginning: string): Running {
  return background(take(beginning, true));
}

function background(command: string): Running {
  return sandbox.start(["bash", "-c", `exec ${command}`], { env: environment });
}

function take(beginning: string, inBackground: boolean): string {
  const command = page.shift();
  const text = command?.text ?? "";
  expect([text.slice(0, beginning.length), command?.background]).toEqual([beginning, inBackground]);
  return text;
}

/** The provider's command of the page, again. */
async function startAgain(): Promise<void> {
  provider = background(`${PROVIDER} --config provider/provider.toml`);
  await provider.line("ready");
}

async function kill(running: Running): Promise<void> {
  running.kill("SIGKILL");
  expect((await running.ended).signal).toBe("SIGKILL");
}

function ownId(): string {
  const seed = fromHex(readFileSync(join(sandbox.root, "provider/operator.key"), "utf8").trim());
  return toHex(providerId(signingKey(seed).publicKey, "provider-1"));
}

/** Deadlines of the grants that the killed provider had open. */
function deadlines(): number[] {
  return liveGrants(stateDir, ownId()).map(({ deadlineMs }) => deadlineMs);
}

if (openssh !== undefined && openssl !== undefined)
  describe("README: Run it for real", () => {
    let deadlineMs = 0;
    let machine: number[] = [];

    beforeAll(async () => {
      const [listen] = await freePorts(1);
      const bin = dirname(binary("development"));
      environment = { PATH: `${bin}:${process.env.PATH}` };
      // Other runs use the same host: ports are the one thing that cannot be taken from the page.
      page = adapt(commandsUnder("Run it for real"), {
        "--dir coalition": `--dir coalition --port ${await freePortRange(3)}`,
        "tcp/4701": `tcp/${listen}`,
        "[backends.local]": "[admin]\nport = 0\n\n[backends.local]",
      });
    });
    afterAll(() => observer?.leave());

    test("1: a coalition of three members", async () => {
      const made = await next("compute-bridge-dev coalition init --members 3 --threshold 2");
      expect(made.exitCode).toBe(0);
      const [, fingerprint = ""] = /^fingerprint ([0-9a-f]{64})/m.exec(made.stdout) ?? [];
      page = adapt(page, { FINGERPRINT: fingerprint });
      for (const index of [1, 2, 3])
        members.push(
          nextInBackground(
            `compute-bridge-dev coalition run --config coalition/member-${index}/member.toml`,
          ),
        );
      await Promise.all(members.map((member) => member.line("member-up")));
      observer = await observe(join(sandbox.root, "coalition/coalition.toml"));
    });

    test("2: a provider", async () => {
      expect(await next("mkdir -m 700 provider")).toMatchObject({ exitCode: 0, stderr: "" });
      expect(await next("cat > provider/provider.toml")).toMatchObject({ exitCode: 0, stderr: "" });
      const checked = await next("compute-bridge-dev config check");
      expect(checked.exitCode).toBe(0);
      expect(checked.stdout).not.toContain("fail  ");
      provider = nextInBackground(PROVIDER);
      await provider.line("ready");
    });

    test("3: a request, and a login that accepts the receipt's host key alone", async () => {
      const asked = await next("compute-bridge-dev request");
      expect(asked.exitCode).toBe(0);
      deadlineMs = Date.parse(/^ends +(\S+)/m.exec(asked.stdout)?.[1] ?? "");
      expect(asked.stdout).toContain(`ssh -F ${join(out, "ssh_config")} machine\n`);
      expect(readFileSync(join(out, "ssh_config"), "utf8")).toMatch(
        /^ *StrictHostKeyChecking yes$/m,
      );

      const { command, answer } = challenge();
      const login = await next("ssh -F my-machine/ssh_config machine ", `${command}\nexit 3\n`);
      expect([login.exitCode, login.stdout]).toEqual([3, answer]);
      machine = machinePids(sandbox);
      expect(machine).toHaveLength(1);
      await refusesOtherHostKey();
    });

    test("killed with SIGKILL and started again: the machine is adopted, its deadline is kept", async () => {
      await kill(provider);
      expect(machinePids(sandbox)).toEqual(machine);
      expect(deadlines()).toEqual([deadlineMs]);
      await startAgain();
      await checkLogin(sandbox, out);
      await expectOneMachine();
    });

    test("the same with the journal deleted", async () => {
      await kill(provider);
      expect(deadlines()).toEqual([deadlineMs]);
      for (const suffix of ["", "-wal"])
        rmSync(join(stateDir, `journal.db${suffix}`), { force: true });
      await startAgain();
      await provider.line("grant", 0, ({ fields }) => fields.state === "delivered");
      await checkLogin(sandbox, out);
      await expectOneMachine();

      await kill(provider);
      expect(deadlines()).toEqual([deadlineMs]);
      await startAgain();
      await expectOneMachine();
    });

    test("3, the end: poweroff gives the machine back, and one final log closes the grant", async () => {
      const ended = await next("ssh -F my-machine/ssh_config machine poweroff");
      expect([0, 255]).toContain(ended.exitCode ?? -1); // the machine may cut the line before it has answered
      const [final] = await eventually("a final log", () => someFinals(), PATIENCE_MS);
      expect(final).toMatchObject({ status: "completed" });
      await eventually("the machine is gone", () => machinePids(sandbox).length === 0, PATIENCE_MS);
      expect(machineFolders(stateDir)).toHaveLength(1);
    });

    test("4: look, and stop", async () => {
      const status = await next("compute-bridge-dev status");
      expect(status.exitCode).toBe(0);
      expect(status.stdout).toMatch(/^grants +0\/16 active, 1 seen, /m);
      const drained = await next("compute-bridge-dev drain");
      expect(drained.exitCode).toBe(0);
      expect(drained.stdout).toContain("the marker is published");
      expect((await provider.ended).exitCode).toBe(0);
      const reasons = [...observer.records.markers.values()].map(({ body }) => body.reason);
      expect(reasons).toEqual(["stop"]);
    });

    test("the page has no further command; one final log, one machine, and no process is left", async () => {
      expect(page).toEqual([]);
      expect(observer.finals()).toHaveLength(1);
      expect([...observer.records.grants.values()]).toHaveLength(1);
      for (const member of members) member.kill("SIGTERM");
      for (const member of members) expect((await member.ended).exitCode).toBe(0);
      expect(sandbox.processes()).toEqual([]);
    });

    async function refusesOtherHostKey(): Promise<void> {
      const config = readFileSync(join(out, "ssh_config"), "utf8");
      const [, host = "", port = ""] = /HostName (\S+)\n +Port (\d+)/.exec(config) ?? [];
      const known = join(out, "known_hosts");
      copyFileSync(known, `${known}.kept`);
      const otherKey = signingKey(randomSeed()).publicKey;
      writeFileSync(known, knownHostsLine(host, Number(port), otherKey));
      const refused = "Host key verification failed";
      await expect(checkLogin(sandbox, out)).rejects.toThrow(refused);
      copyFileSync(`${known}.kept`, known);
      await checkLogin(sandbox, out);
    }

    /** The same process as ever, known to the provider as its one running machine. */
    async function expectOneMachine(): Promise<void> {
      expect(machinePids(sandbox)).toEqual(machine);
      expect(machineFolders(stateDir)).toHaveLength(1);
      const status = await sandbox.run(
        [binary("development"), "status", "--json", "--config", "provider/provider.toml"],
        { env: environment },
      );
      expect(JSON.parse(status.stdout)).toMatchObject({
        grants: { active: 1, byState: { delivered: 1 } },
        backends: [{ machines: { running: 1 } }],
      });
      expect(observer.finals()).toEqual([]);
    }

    function someFinals() {
      const finals = observer.finals();
      return finals.length > 0 ? finals : undefined;
    }
  });
