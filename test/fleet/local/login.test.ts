/** Who may come in, before and after the handover, by ssh2 and by OpenSSH. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Client, type ParsedKey, utils } from "ssh2";
import { fromHex, toHex } from "../../../src/base/bytes.ts";
import { randomSeed, signingKey } from "../../../src/base/ed25519.ts";
import { LOCAL_AUTH_FAILURES_MAX } from "../../../src/base/limits.ts";
import { sshBlob, sshPrivateFile } from "../../../src/base/ssh-keys.ts";
import { HANDOVER_COMMAND } from "../../../src/fleet/backends/local/handover.ts";
import { LOCAL_BACKEND_MARKER } from "../../../src/fleet/backends/local/marker.ts";
import { needs } from "../../support/skip.ts";
import {
  bringUp,
  cleanUp,
  connect,
  exec,
  login,
  opensshArguments,
  startUnclaimed,
  type Unclaimed,
  type Up,
} from "./support.ts";

setDefaultTimeout(60_000);
afterAll(cleanUp);

const AUTH_FAILED = "client-authentication";

/** Undefined when the login succeeds, else where it failed. */
async function refusal(attempt: Promise<Client>): Promise<string | undefined> {
  try {
    (await attempt).end();
    return undefined;
  } catch (error) {
    return (error as { level?: string }).level ?? (error as Error).message;
  }
}

describe("before the handover", () => {
  let machine: Unclaimed;
  beforeAll(async () => {
    machine = await startUnclaimed();
  });

  test("only the bootstrap login key comes in, to the bootstrap host key", async () => {
    const { order, bootstrapHostKey } = machine;
    const bootstrap = order.bootstrapLoginSeed.reveal();
    expect(await refusal(connect(machine, bootstrap, bootstrapHostKey))).toBeUndefined();
    expect(await refusal(connect(machine, order.loginSeed, bootstrapHostKey))).toBe(AUTH_FAILED);
    expect(await refusal(connect(machine, randomSeed(), bootstrapHostKey))).toBe(AUTH_FAILED);
  });

  test("it has taken its secret off the disk before it listens", () => {
    expect(readdirSync(machine.folder)).toContain("ready.json");
    expect(readdirSync(machine.folder)).not.toContain("secrets.json");
  });

  test("it serves the one command: no shell, no other command, no terminal", async () => {
    const client = await connect(
      machine,
      machine.order.bootstrapLoginSeed.reveal(),
      machine.bootstrapHostKey,
    );
    const refused = (run: (done: (error?: Error) => void) => void): Promise<boolean> =>
      new Promise((resolve) => run((error) => resolve(error !== undefined && error !== null)));
    expect(await refused((done) => client.exec("id", done))).toBe(true);
    expect(await refused((done) => client.exec(`${HANDOVER_COMMAND}; id`, done))).toBe(true);
    expect(await refused((done) => client.shell(done))).toBe(true);
    expect(await refused((done) => client.exec(HANDOVER_COMMAND, { pty: true }, done))).toBe(true);
    client.end();
  });

  test("a handover with a malformed message or to another key is refused, and changes nothing", async () => {
    const seed = machine.order.bootstrapLoginSeed.reveal();
    const other = toHex(signingKey(randomSeed()).publicKey);
    const messages = [
      "",
      "null",
      "[]",
      '{"v":1}',
      `{"v":2,"loginKey":"${toHex(machine.order.loginKey)}"}`,
      `{"v":1,"loginKey":"${toHex(machine.order.loginKey)}","more":1}`,
      `{"v":1,"loginKey":"${other}"}`,
      `{"v":1,"loginKey":"${other.slice(2)}"}`,
      " ".repeat(100_000),
    ];
    for (const message of messages) {
      const client = await connect(machine, seed, machine.bootstrapHostKey);
      const result = await exec(client, HANDOVER_COMMAND, message);
      client.end();
      expect(result.code).toBe(1);
      expect(result.text).toBe("");
      expect(result.errors.length).toBeGreaterThan(0);
    }
    expect(await refusal(connect(machine, seed, machine.bootstrapHostKey))).toBeUndefined();
  });

  test("of two handovers at once one is done", async () => {
    const message = JSON.stringify({ v: 1, loginKey: toHex(machine.order.loginKey) });
    const seed = machine.order.bootstrapLoginSeed.reveal();
    const clients = await Promise.all([
      connect(machine, seed, machine.bootstrapHostKey),
      connect(machine, seed, machine.bootstrapHostKey),
    ]);
    const results = await Promise.all(
      clients.map((client) =>
        exec(client, HANDOVER_COMMAND, message).then(
          (result) => result,
          () => undefined,
        ),
      ),
    );
    const done = results.filter((result) => result?.code === 0);
    expect(done.length).toBe(1);
    const hostKey = fromHex(String(JSON.parse(done[0]?.text ?? "{}").hostKey));
    expect(await refusal(connect(machine, machine.order.loginSeed, hostKey))).toBeUndefined();
    expect(await refusal(connect(machine, seed, hostKey))).toBe(AUTH_FAILED);
  });
});

describe("after the handover", () => {
  let up: Up;
  beforeAll(async () => {
    up = await bringUp();
  });

  test("only the requester's key comes in, and only to the fresh host key", async () => {
    const { machine, order } = up;
    const bootstrapHostKey = signingKey(order.bootstrapHostSeed.reveal()).publicKey;
    expect(toHex(machine.hostKey)).not.toBe(toHex(bootstrapHostKey));
    expect(await refusal(login(up))).toBeUndefined();
    expect(await refusal(connect(machine, order.loginSeed, bootstrapHostKey))).toBe("handshake");
    const bootstrap = order.bootstrapLoginSeed.reveal();
    expect(await refusal(connect(machine, bootstrap, machine.hostKey))).toBe(AUTH_FAILED);
    expect(await refusal(connect(machine, randomSeed(), machine.hostKey))).toBe(AUTH_FAILED);
  });

  test("a wrong user, a password, keyboard-interactive and no key at all are refused", async () => {
    const { machine, order } = up;
    const attempt = (changes: object): Promise<string | undefined> =>
      refusal(connect(machine, order.loginSeed, machine.hostKey, changes));
    expect(await attempt({ username: "root" })).toBe(AUTH_FAILED);
    expect(await attempt({ authHandler: ["none"] })).toBe(AUTH_FAILED);
    expect(await attempt({ authHandler: ["password"], password: "tenant" })).toBe(AUTH_FAILED);
    expect(await attempt({ authHandler: ["keyboard-interactive"], tryKeyboard: true })).toBe(
      AUTH_FAILED,
    );
  });

  test("the right public key without its signature does not come in", async () => {
    const { machine, order } = up;
    const other = randomSeed();
    const client = connect(machine, other, machine.hostKey, {
      authHandler: (_left: unknown, _partial: unknown, next: (method: unknown) => void) => {
        tries += 1;
        if (tries > 1) return next(false);
        next({ type: "publickey", username: "tenant", key: stolen(other, order.loginKey) });
      },
    } as object);
    let tries = 0;
    expect(await refusal(client)).toBe(AUTH_FAILED);
  });

  test("an unknown key is refused before it has signed anything", async () => {
    const key = utils.parseKey(sshPrivateFile(randomSeed()));
    if (key instanceof Error) throw key;
    let signatures = 0;
    const { sign } = key;
    key.sign = (...input) => {
      signatures += 1;
      return sign.apply(key, input);
    };
    const authHandler = [{ type: "publickey", username: "tenant", key }];
    const { machine } = up;
    const attempt = connect(machine, randomSeed(), machine.hostKey, { authHandler } as object);
    expect(await refusal(attempt)).toBe(AUTH_FAILED);
    expect(signatures).toBe(0);
  });

  test("a connection that keeps guessing is cut off", async () => {
    const { machine } = up;
    let tries = 0;
    const guessing = connect(machine, randomSeed(), machine.hostKey, {
      authHandler: (_left: unknown, _partial: unknown, next: (method: unknown) => void) => {
        tries += 1;
        next({ type: "password", username: "tenant", password: `guess ${tries}` });
      },
    } as object);
    await expect(guessing).rejects.toThrow();
    // One more may be under way when the answer to the last one arrives.
    expect(tries).toBeGreaterThanOrEqual(LOCAL_AUTH_FAILURES_MAX);
    expect(tries).toBeLessThanOrEqual(LOCAL_AUTH_FAILURES_MAX + 1);
  });

  test("forwarding is refused in every direction", async () => {
    const target = createServer();
    await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
    const { port } = target.address() as { port: number };
    let reached = 0;
    target.on("connection", () => {
      reached += 1;
    });
    const client = await login(up);
    const outcome = (run: (done: (error?: Error) => void) => void): Promise<string> =>
      new Promise((resolve) => run((error) => resolve(error ? "refused" : "allowed")));
    const socket = join(up.folder, "socket");
    expect(
      await outcome((done) => client.forwardOut("127.0.0.1", 1, "127.0.0.1", port, done)),
    ).toBe("refused");
    expect(await outcome((done) => client.forwardIn("127.0.0.1", 0, done))).toBe("refused");
    expect(
      await outcome((done) => client.openssh_forwardOutStreamLocal(socket, (error) => done(error))),
    ).toBe("refused");
    expect(
      await outcome((done) =>
        client.openssh_forwardInStreamLocal(socket, (error) => done(error ?? undefined)),
      ),
    ).toBe("refused");
    expect(await outcome((done) => client.sftp(done))).toBe("refused");
    expect(await outcome((done) => client.subsys("netconf", (error) => done(error)))).toBe(
      "refused",
    );
    expect(await outcome((done) => client.exec("true", { x11: true }, done))).toBe("refused");
    client.end();
    target.close();
    expect(reached).toBe(0);
  });

  test("the handover command is nothing any more", async () => {
    const client = await login(up);
    expect((await exec(client, HANDOVER_COMMAND)).code).toBe(127);
    client.end();
  });

  test("it listens on loopback only, and says what it is", async () => {
    const port = up.machine.port.toString(16).toUpperCase().padStart(4, "0");
    const listeners = ["tcp", "tcp6"].flatMap((table) =>
      readFileSync(`/proc/net/${table}`, "utf8")
        .split("\n")
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[3] === "0A" && fields[1]?.endsWith(`:${port}`)),
    );
    expect(listeners.map((fields) => fields[1])).toEqual([`0100007F:${port}`]);
    const client = new Client();
    const banner = new Promise<string>((resolve) => client.once("banner", resolve));
    (await connect(up.machine, up.order.loginSeed, up.machine.hostKey, {}, client)).end();
    expect(await banner).toContain(LOCAL_BACKEND_MARKER);
    expect(readFileSync(join(up.folder, "machine.log"), "utf8")).toContain(LOCAL_BACKEND_MARKER);
  });

  const ssh = needs("openssh-client", Bun.which("ssh"));
  if (ssh !== undefined) {
    const openssh = (
      seed: Uint8Array,
      hostKey: Uint8Array,
      ...args: string[]
    ): { code: number; out: string; err: string } => {
      const all = [...opensshArguments(up.folder, up.machine, seed, hostKey), ...args];
      const result = Bun.spawnSync([ssh, ...all], {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      });
      return {
        code: result.exitCode,
        out: result.stdout.toString(),
        err: result.stderr.toString(),
      };
    };

    test("OpenSSH with a strict host key check: the requester comes in, the bootstrap key does not", () => {
      const { order, machine } = up;
      const mine = openssh(order.loginSeed, machine.hostKey, "tenant@127.0.0.1", "echo in");
      expect(mine).toEqual({ code: 0, out: "in\n", err: "" });
      const bootstrap = openssh(
        order.bootstrapLoginSeed.reveal(),
        machine.hostKey,
        "tenant@127.0.0.1",
        "echo in",
      );
      expect([bootstrap.code, bootstrap.out]).toEqual([255, ""]);
      expect(bootstrap.err).toContain("Permission denied (publickey)");
    });

    test("OpenSSH that knows only the bootstrap host key refuses to talk to the machine", () => {
      const hostKey = signingKey(up.order.bootstrapHostSeed.reveal()).publicKey;
      const result = openssh(up.order.loginSeed, hostKey, "tenant@127.0.0.1", "echo in");
      expect([result.code, result.out]).toEqual([255, ""]);
      expect(result.err).toMatch(/Host key verification failed/);
    });

    test("OpenSSH cannot forward", () => {
      const { order, machine } = up;
      const forwards = [
        ["-W", `127.0.0.1:${machine.port}`, "tenant@127.0.0.1"],
        ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "tenant@127.0.0.1", "echo in"],
      ];
      for (const args of forwards) {
        const result = openssh(order.loginSeed, machine.hostKey, ...args);
        expect([result.code, result.out]).toEqual([255, ""]);
      }
    });

    test("OpenSSH shows the banner", () => {
      const { order, machine } = up;
      const settings = opensshArguments(
        up.folder,
        machine,
        order.loginSeed,
        machine.hostKey,
        "INFO",
      );
      const result = Bun.spawnSync([ssh, ...settings, "tenant@127.0.0.1", "true"], {
        stdin: "ignore",
        stderr: "pipe",
      });
      expect(result.stderr.toString()).toContain(LOCAL_BACKEND_MARKER);
    });
  }
});

/** A key that names one public key and signs with another. */
function stolen(signer: Uint8Array, named: Uint8Array): ParsedKey {
  const key = utils.parseKey(sshPrivateFile(signer));
  if (key instanceof Error) throw key;
  return Object.assign(key, { getPublicSSH: () => Buffer.from(sshBlob(named)) });
}
