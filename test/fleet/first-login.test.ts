/** First login against a real SSH server in this process, which boots late, lies, or breaks off. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { createServer, type Socket, type Server as TcpServer } from "node:net";
import { type AuthContext, type Connection, Server, type ServerChannel } from "ssh2";
import { type Bytes32, bytes32, fromUtf8, toHex, utf8 } from "../../src/base/bytes.ts";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { randomSeed, signingKey } from "../../src/base/ed25519.ts";
import { codeOf } from "../../src/base/errors.ts";
import { HANDOVER_OUTPUT_BYTES_MAX, LOGIN_ATTEMPT_MS } from "../../src/base/limits.ts";
import { silentLogger } from "../../src/base/log.ts";
import { Secret } from "../../src/base/secret.ts";
import { sshPrivateFile } from "../../src/base/ssh-keys.ts";
import { type FirstLogin, firstLogin, type Handover } from "../../src/fleet/first-login.ts";

setDefaultTimeout(30_000);

/** Not the local backend's: any fixed command with data on its input will do. */
const handover: Handover = {
  command: "sh /etc/change-keys",
  input: (loginKey) => utf8(`${toHex(loginKey)}\n`),
  hostKey: (output) => bytes32(Buffer.from(fromUtf8(output).trim(), "base64"), "host key"),
};

interface Fake {
  readonly login: FirstLogin;
  readonly fresh: Bytes32;
  readonly seen: { connections: number; commands: string[]; inputs: string[] };
  /** What the server does with the command; the default changes the keys as it should. */
  answer: (channel: ServerChannel, fake: Fake) => void;
  /** The host key it shows. */
  hostSeed: Uint8Array;
  /** The login key it admits; undefined admits nobody. */
  admits: Uint8Array | undefined;
  listen(): Promise<void>;
  /** Breaks every connection. */
  sever(): void;
}

const open: TcpServer[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

/** `listen` later to have connections refused until then: the port is known from the start. */
async function fake(): Promise<Fake> {
  const bootstrapHost = randomSeed();
  const bootstrapLogin = randomSeed();
  const freshSeed = randomSeed();
  const port = await freePort();
  const sockets: Socket[] = [];
  const it: Fake = {
    sever: () => {
      for (const socket of sockets) socket.destroy();
    },
    fresh: signingKey(freshSeed).publicKey,
    seen: { connections: 0, commands: [], inputs: [] },
    hostSeed: bootstrapHost,
    admits: signingKey(bootstrapLogin).publicKey,
    answer(channel, self) {
      self.hostSeed = freshSeed;
      self.admits = signingKey(randomSeed()).publicKey;
      channel.write(`${Buffer.from(self.fresh).toString("base64")}\n`);
      channel.exit(0);
      channel.end();
    },
    login: {
      host: "127.0.0.1",
      port,
      user: "boot",
      bootstrapHostKey: signingKey(bootstrapHost).publicKey,
      bootstrapLoginSeed: new Secret(bootstrapLogin),
      loginKey: signingKey(randomSeed()).publicKey,
      handover,
    },
    listen: () =>
      new Promise((resolve) => {
        const tcp = createServer((socket) => {
          it.seen.connections += 1;
          sockets.push(socket);
          const ssh = new Server({ hostKeys: [sshPrivateFile(it.hostSeed)] }, (client) =>
            serve(client, it),
          );
          ssh.injectSocket(socket);
        });
        open.push(tcp);
        tcp.listen(port, "127.0.0.1", resolve);
      }),
  };
  return it;
}

function serve(client: Connection, it: Fake): void {
  client.on("error", () => {});
  client.on("authentication", (attempt: AuthContext) => {
    const key = attempt.method === "publickey" ? attempt.key.data.subarray(-32) : undefined;
    const admitted = key !== undefined && it.admits !== undefined && key.equals(it.admits);
    if (admitted && attempt.username === "boot") attempt.accept();
    else attempt.reject(["publickey"]);
  });
  client.on("session", (accept) => {
    accept().on("exec", (take, _reject, info) => {
      const channel: ServerChannel = take();
      let input = "";
      it.seen.commands.push(info.command);
      channel.on("data", (piece: Buffer) => {
        input += piece.toString();
      });
      channel.on("end", () => {
        it.seen.inputs.push(input);
        it.answer(channel, it);
      });
    });
  });
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Time passes only in `sleep`, and there at once; attempts' own limits never fire by themselves. */
function quickClock(onSleep: (delayMs: number) => void = () => {}): Clock {
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    async sleep(delayMs, signal) {
      if (delayMs >= LOGIN_ATTEMPT_MS)
        return new Promise((r) => signal?.addEventListener("abort", () => r()));
      onSleep(delayMs);
      nowMs += delayMs;
      await Bun.sleep(1);
    },
  };
}

function attempt(
  it: Fake,
  clock: Clock = systemClock,
  withinMs = 20_000,
  signal: AbortSignal = new AbortController().signal,
): Promise<Bytes32> {
  return firstLogin(it.login, { clock, signal, withinMs, log: silentLogger });
}

const code = (result: Promise<unknown>): Promise<string> =>
  result.then(
    () => "no error",
    (error: unknown) => codeOf(error),
  );

test("the keys are changed over one session by a fixed command with data on its input", async () => {
  const it = await fake();
  await it.listen();
  expect(await attempt(it)).toEqual(it.fresh);
  expect(it.seen.commands).toEqual([handover.command]);
  expect(it.seen.inputs).toEqual([`${toHex(it.login.loginKey)}\n`]);
  expect(it.seen.connections).toBe(2); // the change, and the proof that the bootstrap key is refused
});

test("a machine that boots late is waited for, with growing pauses", async () => {
  const it = await fake();
  const pauses: number[] = [];
  const clock = quickClock((delayMs) => {
    pauses.push(delayMs);
    if (pauses.length === 10) void it.listen();
  });
  expect(await attempt(it, clock, 1e6)).toEqual(it.fresh);
  expect(pauses.slice(0, 4)).toEqual([20, 40, 80, 160]);
  expect(Math.max(...pauses)).toBe(2000);
  expect(it.seen.commands.length).toBe(1);
});

test("a login key that is not yet installed is waited for, then refused as auth", async () => {
  const it = await fake();
  await it.listen();
  const { admits } = it;
  it.admits = undefined;
  let pauses = 0;
  const late = quickClock(() => {
    pauses += 1;
    if (pauses === 3) it.admits = admits;
  });
  expect(await attempt(it, late, 1e6)).toEqual(it.fresh);

  const never = await fake();
  await never.listen();
  never.admits = undefined;
  expect(await code(attempt(never, quickClock(), 1000))).toBe("auth");
  expect(never.seen.commands).toEqual([]);
});

test("a wrong host key is an error at once and never tried again", async () => {
  const it = await fake();
  await it.listen();
  it.hostSeed = randomSeed();
  expect(await code(attempt(it))).toBe("wrong-host-key");
  expect(it.seen.connections).toBe(1);
  expect(it.seen.commands).toEqual([]);
});

test("a machine that never comes up has an unknown outcome", async () => {
  const it = await fake();
  expect(await code(attempt(it, quickClock(), 10_000))).toBe("unknown-outcome");
});

test("a server that accepts the connection and says nothing is given up and tried again", async () => {
  const it = await fake();
  const silent = createServer((socket) => socket.on("error", () => {}));
  open.push(silent);
  await new Promise<void>((resolve) => silent.listen(it.login.port, "127.0.0.1", resolve));
  let nowMs = 0;
  const slept: number[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    async sleep(delayMs) {
      slept.push(delayMs);
      await Bun.sleep(1);
      nowMs += delayMs;
    },
  };
  expect(await code(attempt(it, clock, 3 * LOGIN_ATTEMPT_MS))).toBe("unknown-outcome");
  expect(slept.filter((delayMs) => delayMs === LOGIN_ATTEMPT_MS).length).toBeGreaterThan(1);
});

test("stopping ends the wait", async () => {
  const it = await fake();
  const stop = new AbortController();
  const result = code(attempt(it, systemClock, 1e6, stop.signal));
  stop.abort();
  expect(await result).toBe("unknown-outcome");
});

test("a session that breaks after the command was sent is not tried again", async () => {
  const it = await fake();
  await it.listen();
  it.answer = (channel) => channel.end(); // closed without an exit status
  expect(await code(attempt(it))).toBe("unknown-outcome");
  expect(it.seen.commands.length).toBe(1);

  const cut = await fake();
  await cut.listen();
  cut.answer = (_channel, self) => self.sever();
  expect(await code(attempt(cut))).toBe("unknown-outcome");
  expect(cut.seen.commands.length).toBe(1);
});

test("a command that fails, prints no key, or prints too much is a bug", async () => {
  const answers: Fake["answer"][] = [
    (channel) => {
      channel.stderr.write("disk\u001b[31m full\n");
      channel.exit(4);
      channel.end();
    },
    (channel) => {
      channel.write("not a key\n");
      channel.exit(0);
      channel.end();
    },
    (channel) => {
      const key = signingKey(randomSeed()).publicKey;
      const padding = " ".repeat(HANDOVER_OUTPUT_BYTES_MAX);
      channel.write(`${Buffer.from(key).toString("base64")}${padding}`);
      channel.exit(0);
      channel.end();
    },
  ];
  for (const answer of answers) {
    const it = await fake();
    await it.listen();
    it.answer = answer;
    expect(await code(attempt(it))).toBe("bug");
    expect(it.seen.commands.length).toBe(1);
  }
});

test("an error repeats what the machine said, without control characters", async () => {
  const it = await fake();
  await it.listen();
  it.answer = (channel) => {
    channel.stderr.write(`disk\u001b[31m full ${"x".repeat(5000)}\n`);
    channel.exit(4);
    channel.end();
  };
  const message = await attempt(it).catch((error: Error) => error.message);
  expect(message).toMatch(/ended with 4: disk \[31m full x+$/);
  expect(String(message).length).toBeLessThan(400);
});

test("a machine that keeps its bootstrap keys is not handed over", async () => {
  const sameHost = await fake();
  await sameHost.listen();
  sameHost.answer = (channel, self) => {
    channel.write(Buffer.from(self.login.bootstrapHostKey).toString("base64"));
    channel.exit(0);
    channel.end();
  };
  expect(await code(attempt(sameHost))).toBe("bug");

  const sameLogin = await fake();
  await sameLogin.listen();
  const { admits, answer } = sameLogin;
  sameLogin.answer = (channel, self) => {
    answer(channel, self);
    self.admits = admits;
  };
  expect(await code(attempt(sameLogin))).toBe("bug");

  const notUsed = await fake();
  await notUsed.listen();
  const before = notUsed.hostSeed;
  const change = notUsed.answer;
  notUsed.answer = (channel, self) => {
    change(channel, self);
    self.hostSeed = before; // it returned a fresh key and does not show it
  };
  expect(await code(attempt(notUsed))).toBe("wrong-host-key");
});
