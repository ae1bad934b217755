/** Shells and commands on one machine, through real SSH connections. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Client, ClientChannel } from "ssh2";
import { LOCAL_SESSIONS_MAX } from "../../../src/base/limits.ts";
import { needs } from "../../support/skip.ts";
import {
  bringUp,
  cleanUp,
  collect,
  exec,
  login,
  NEVER,
  namesUnder,
  open,
  opensshArguments,
  processesUnder,
  recordExit,
  type Up,
  until,
} from "./support.ts";

setDefaultTimeout(60_000);

let up: Up;
let client: Client;

beforeAll(async () => {
  up = await bringUp();
  client = await login(up);
});

afterAll(async () => {
  client.end();
  await cleanUp();
});

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const firstNumber = (channel: ClientChannel): Promise<number> =>
  new Promise((resolve) => channel.once("data", (piece: Buffer) => resolve(Number(piece))));

test("exec returns output, errors and exit codes", async () => {
  const result = await exec(client, "echo out; echo err >&2; exit 7");
  expect(result.text).toBe("out\n");
  expect(result.errors.toString()).toBe("err\n");
  expect(result.code).toBe(7);
  expect((await exec(client, "true")).code).toBe(0);
  expect((await exec(client, "no-such-command-anywhere")).code).toBe(127);
});

test("standard input arrives whole, and ends", async () => {
  const input = randomBytes(5_000_000);
  const result = await exec(client, "sha256sum", input);
  expect(result.text).toStartWith(sha256(input));
  expect(result.code).toBe(0);
});

test("a program that does not read its input does not stop the session", async () => {
  const result = await exec(client, "exec <&-; echo done; exit 5", randomBytes(3_000_000));
  expect(result.text).toBe("done\n");
  expect(result.code).toBe(5);
});

test("much output on both streams arrives whole and in order, to a client that is slow", async () => {
  // More than the 2 MiB window on each stream, interleaved, so that both wait for the client at once.
  const bytes = 6_000_000;
  const script = `yes out | head -c ${bytes} & yes err | head -c ${bytes} >&2; wait`;
  const channel = await open(client, script);
  const slow = (stream: { pause(): unknown; resume(): unknown }): void => {
    stream.pause();
    setTimeout(() => stream.resume(), 1);
  };
  channel.on("data", () => slow(channel));
  channel.stderr.on("data", () => slow(channel.stderr as ClientChannel));
  const result = await collect(channel);
  const expected = (word: string): Buffer => Buffer.alloc(bytes, `${word}\n`);
  expect(result.output.length).toBe(bytes);
  expect(result.errors.length).toBe(bytes);
  expect(sha256(result.output)).toBe(sha256(expected("out")));
  expect(sha256(result.errors)).toBe(sha256(expected("err")));
});

test("standard streams can be opened again by name", async () => {
  const result = await exec(client, "cat /dev/stdin; echo e > /dev/stderr", "through");
  expect(result.text).toBe("through");
  expect(result.errors.toString()).toBe("e\n");
});

test("signals reach the whole command, and its end by a signal is told", async () => {
  const channel = await open(client, "sleep 1000 | sleep 1000");
  const result = collect(channel);
  await until(() => namesUnder(dirname(up.folder)).filter((name) => name === "sleep").length === 2);
  channel.signal("TERM");
  const { code, signal } = await result;
  expect([code ?? undefined, signal]).toEqual([undefined, "SIGTERM"]);
});

test("the environment is clean", async () => {
  const { text } = await exec(client, "env");
  const names = text
    .trim()
    .split("\n")
    .map((line) => line.split("=")[0]);
  const allowed = ["COMPUTE_BRIDGE_MACHINE", "HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR"];
  const fromShell = ["PWD", "OLDPWD", "SHLVL", "USER", "_"];
  expect(names.filter((name) => ![...allowed, ...fromShell].includes(name ?? ""))).toEqual([]);
  expect((await exec(client, "cd; pwd")).text.trim()).toBe(`${up.folder}/home`);
  expect((await exec(client, "command -v poweroff")).text.trim()).toBe(`${up.folder}/bin/poweroff`);
});

test("the client cannot set environment variables", async () => {
  const channel = await new Promise<ClientChannel>((resolve, reject) => {
    client.exec("env", { env: { LD_PRELOAD: "/tmp/x.so", BUN_OPTIONS: "--preload x" } }, (e, c) =>
      e ? reject(e) : resolve(recordExit(c)),
    );
  });
  const { text } = await collect(channel);
  expect(text).toContain("HOME=");
  expect(text).not.toMatch(/LD_PRELOAD|BUN_OPTIONS/);
});

test("no secret of the machine is left on the disk or on its command line", async () => {
  expect(readdirSync(up.folder)).not.toContain("secrets.json");
  const machine = up.machine.instanceId.split("-")[0];
  const { text } = await exec(client, `tr '\\0' '\\n' < /proc/${machine}/environ`);
  expect(
    text
      .trim()
      .split("\n")
      .map((line) => line.split("=")[0])
      .sort(),
  ).toEqual(["HOME", "LANG", "PATH"]);
});

test("limits are in force in what the tenant runs", async () => {
  const { text } = await exec(client, "ulimit -d; ulimit -f; ulimit -c; nice");
  expect(text.trim().split("\n")).toEqual([String(1024 * 1024), String(1024 * 1024), "0", "5"]);
  // What the system does not let us limit is named; root is exempt from the bound on processes.
  const log = readFileSync(join(up.folder, "machine.log"), "utf8");
  const missing = /"limits-not-applied","limits":"([^"]*)"/.exec(log)?.[1]?.split(" ");
  expect(missing).toEqual(process.geteuid?.() === 0 ? ["processes", "cpu"] : ["cpu"]);
  const { code } = await exec(client, "ulimit -f 10 && head -c 20000 /dev/zero > big");
  expect(code).not.toBe(0);
});

/** A terminal session that answers `expectText`. */
async function shell(): Promise<{
  channel: ClientChannel;
  result: ReturnType<typeof collect>;
  seen: () => string;
}> {
  const channel = await new Promise<ClientChannel>((resolve, reject) => {
    const window = { term: "xterm", cols: 91, rows: 37, width: 0, height: 0 };
    client.shell(window, (error, opened) => (error ? reject(error) : resolve(recordExit(opened))));
  });
  let seen = "";
  channel.on("data", (piece: Buffer) => {
    seen += piece.toString();
  });
  return { channel, result: collect(channel), seen: () => seen };
}

test("a shell has a terminal, follows its size and returns its exit status", async () => {
  const { channel, result, seen } = await shell();
  channel.write("tty; stty size; echo term=$TERM\n");
  await until(() => /\/dev\/pts\/\d+\r\n37 91\r\nterm=xterm/.test(seen()));
  channel.setWindow(50, 132, 0, 0);
  await until(() => {
    channel.write("stty size\n");
    return Bun.sleep(50).then(() => seen().includes("50 132\r\n"));
  });
  channel.write("exit 42\n");
  expect((await result).code).toBe(42);
});

test("the interrupt key ends a command and not the shell", async () => {
  const { channel, result, seen } = await shell();
  channel.write("echo $((40+1)) sleeps; exec 2>&1; sleep 1000\n");
  await until(() => seen().includes("41 sleeps"));
  await until(() => {
    channel.write("\u0003echo $((40+2)) lives\n"); // again, should the sleep not have begun
    return Bun.sleep(50).then(() => seen().includes("42 lives"));
  });
  channel.write("exit 0\n");
  expect((await result).code).toBe(0);
});

test("a terminal's output waits for a client that does not read, and nothing is lost", async () => {
  const numbers = 2_000_000;
  const script = `stty -echo; echo $$; read go; exec seq 1 ${numbers}`;
  const channel = await open(client, script, true);
  const pid = await firstNumber(channel);
  channel.pause();
  channel.write("go\n");
  // Written so far, as the kernel counts it; it stands still once everything on the way is full.
  const written = (): number =>
    Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
  let before = -1;
  await until(async () => {
    const now = written();
    await Bun.sleep(100);
    const still = now === before;
    before = now;
    return still && now > 1_000_000;
  });
  expect(before).toBeLessThan(12_000_000);
  const result = collect(channel);
  channel.resume();
  const { text, code } = await result;
  expect(sha256(Buffer.from(text.replaceAll("\r", "")))).toBe(
    sha256(Buffer.from(Array.from({ length: numbers }, (_, i) => `${i + 1}\n`).join(""))),
  );
  expect(code).toBe(0);
});

test("a terminal hangs up on its programs when the client goes away", async () => {
  const other = await login(up);
  const channel = await open(other, "echo $$; exec sleep 1000", true);
  const pid = await firstNumber(channel);
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  other.destroy();
  await until(() => !existsSync(`/proc/${pid}`));
});

test("a command without a terminal sees its pipes close when the client goes away", async () => {
  const other = await login(up);
  const channel = await open(other, "echo $$; cat > /dev/null; sleep 0.01; exit 0");
  const pid = await firstNumber(channel);
  other.destroy();
  await until(() => !existsSync(`/proc/${pid}`));
});

test("sessions are bounded, and a closed one makes room", async () => {
  const other = await login(up);
  const channels: ClientChannel[] = [];
  for (let i = 0; i < LOCAL_SESSIONS_MAX; i += 1) channels.push(await open(other, "cat"));
  expect(
    await open(client, "true").then(
      () => "opened",
      () => "refused",
    ),
  ).toBe("refused");
  channels[0]?.end();
  const opens = (): Promise<boolean> =>
    open(client, "true").then(
      (channel) => collect(channel).then(() => true),
      () => false,
    );
  await until(opens);
  other.end();
  await until(() => !namesUnder(dirname(up.folder)).includes("cat"));
});

test("many commands at once on one connection", async () => {
  const results = await Promise.all(
    Array.from({ length: 40 }, (_, i) => exec(client, `cat; exit ${i}`, `input ${i}`)),
  );
  expect(results.map((result) => [result.text, result.code])).toEqual(
    results.map((_, i) => [`input ${i}`, i]),
  );
});

const ssh = needs("openssh-client", Bun.which("ssh"));
if (ssh !== undefined) {
  const openssh = (
    args: string[],
    input: string | Uint8Array = "",
  ): Bun.SyncSubprocess<"pipe", "pipe"> =>
    Bun.spawnSync(
      [
        ssh,
        ...opensshArguments(up.folder, up.machine, up.order.loginSeed, up.machine.hostKey),
        ...args,
      ],
      { stdin: Buffer.from(input), stdout: "pipe", stderr: "pipe" },
    );

  test("OpenSSH runs commands, with input, output and exit code", () => {
    const input = randomBytes(3_000_000);
    const result = openssh(["tenant@127.0.0.1", "sha256sum; exit 6"], input);
    expect(result.stderr.toString()).toBe("");
    expect(result.stdout.toString()).toStartWith(sha256(input));
    expect(result.exitCode).toBe(6);
  });

  test("OpenSSH gets much output on both streams whole", () => {
    const script = "yes out | head -c 4000000 & yes err | head -c 4000000 >&2; wait";
    const result = openssh(["tenant@127.0.0.1", script]);
    expect(sha256(result.stdout)).toBe(sha256(Buffer.alloc(4e6, "out\n")));
    expect(sha256(result.stderr)).toBe(sha256(Buffer.alloc(4e6, "err\n")));
  });

  test("OpenSSH gets a terminal, and a signalled command's status", () => {
    const tty = openssh(["-tt", "tenant@127.0.0.1", "tty; exit 3"]);
    expect(tty.stdout.toString()).toMatch(/^\/dev\/pts\/\d+\r\n/);
    expect(tty.exitCode).toBe(3);
    expect(openssh(["tenant@127.0.0.1", "kill -KILL $$"]).exitCode).toBe(255);
  });

  test("OpenSSH's copies by sftp are refused", () => {
    const result = openssh(["-s", "tenant@127.0.0.1", "sftp"]);
    expect(result.exitCode).not.toBe(0);
    expect(result.stderr.toString()).toMatch(/subsystem request failed/);
  });
}

test("nothing of the sessions is left but the machine", async () => {
  const state = dirname(up.folder);
  await until(() => processesUnder(state).length === 1);
  expect(await up.backend.terminate(up.machine, NEVER)).toBe("gone");
  expect(processesUnder(state)).toEqual([]);
  // No fault and no warning of the runtime happened under all of this.
  const log = readFileSync(join(up.folder, "machine.log"), "utf8").trim().split("\n");
  expect(log.map((line) => JSON.parse(line).event)).toEqual([
    "machine-started",
    "limits-not-applied",
    "handed-over",
    "machine-ended",
  ]);
});
