/**
 * The first login to a new machine and the change of keys over that one session (DESIGN section 8, "Host keys
 * and first login"). The bootstrap host key is pinned, so there is no trust on first use; the machine makes its
 * own fresh host key, so no private key that matters ever was in user data. How a kind of machine makes that key,
 * takes the requester's login key and drops the bootstrap one is its `Handover`: one fixed command, data on
 * standard input, the fresh public key on standard output.
 *
 * SSH as in RFC 4252 to 4254, with curve25519-sha256 (RFC 8731), ssh-ed25519 (RFC 8709) and AES-GCM (RFC 5647).
 */

import { Client, type ClientChannel, type ConnectConfig } from "ssh2";
import { type Bytes32, concat, equal } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { BridgeError, hasCode } from "../base/errors.ts";
import {
  HANDOVER_ERROR_CHARS_MAX,
  HANDOVER_OUTPUT_BYTES_MAX,
  LOGIN_ATTEMPT_MS,
  LOGIN_RETRY_MS,
  LOGIN_RETRY_MS_MAX,
} from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import type { Secret } from "../base/secret.ts";
import { sshBlob, sshPrivateFile } from "../base/ssh-keys.ts";

export interface Handover {
  /** Sent as it stands; whatever differs between machines goes through `input`. */
  readonly command: string;
  /** What the command reads from standard input. */
  input(loginKey: Bytes32): Uint8Array;
  /** The fresh host key in what the command printed. Throws `malformed`. */
  hostKey(output: Uint8Array): Bytes32;
}

export interface FirstLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly bootstrapHostKey: Bytes32;
  readonly bootstrapLoginSeed: Secret;
  /** The only key that logs in afterwards. */
  readonly loginKey: Bytes32;
  readonly handover: Handover;
}

export interface LoginWait {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** How long the machine may take to boot, altogether. */
  readonly withinMs: number;
  readonly log: Logger;
}

/**
 * Returns the fresh host key once the machine shows it and refuses the bootstrap login key. While the machine
 * boots, attempts that end before the command is sent are made again; the command is sent at most once.
 * Throws `wrong-host-key` at once, `auth` when the bootstrap key was still refused at the end of `withinMs`,
 * `bug` when the command failed, and `unknown-outcome` when the machine did not answer in time, the session
 * broke after the command was sent, or `signal` fired.
 */
export async function firstLogin(login: FirstLogin, wait: LoginWait): Promise<Bytes32> {
  const endMs = wait.clock.monotonicMs() + wait.withinMs;
  const client = await retried(login, wait, endMs, () =>
    connect(login, login.bootstrapHostKey, wait),
  );
  const hostKey = await handOver(client, login, wait).finally(() => client.destroy());
  if (equal(hostKey, login.bootstrapHostKey)) {
    throw new BridgeError("bug", `${place(login)} still has its bootstrap host key`);
  }
  await retried(login, wait, endMs, () => proveHandedOver(login, hostKey, wait));
  return hostKey;
}

/** Runs until it succeeds, fails for good, or time is up; only what a booting machine shows is tried again. */
async function retried<T>(
  login: FirstLogin,
  wait: LoginWait,
  endMs: number,
  run: () => Promise<T>,
): Promise<T> {
  for (let delayMs = LOGIN_RETRY_MS; ; delayMs = Math.min(2 * delayMs, LOGIN_RETRY_MS_MAX)) {
    try {
      return await run();
    } catch (error) {
      if (wait.signal.aborted) {
        throw new BridgeError("unknown-outcome", `stopped waiting for ${place(login)}`, {
          cause: error,
        });
      }
      if (!hasCode(error, "unreachable", "auth")) throw error;
      if (wait.clock.monotonicMs() + delayMs >= endMs) {
        if (hasCode(error, "auth")) throw error;
        throw new BridgeError(
          "unknown-outcome",
          `${place(login)} took no login within ${wait.withinMs} ms`,
          { cause: error },
        );
      }
      wait.log.debug("first-login-retry", { delayMs, error });
      await wait.clock.sleep(delayMs, wait.signal);
    }
  }
}

/** A connection with the fresh host key, on which the bootstrap login key must fail. */
async function proveHandedOver(
  login: FirstLogin,
  hostKey: Bytes32,
  wait: LoginWait,
): Promise<void> {
  try {
    (await connect(login, hostKey, wait)).destroy();
  } catch (error) {
    if (hasCode(error, "auth")) return;
    throw error;
  }
  throw new BridgeError("bug", `the bootstrap login key still opens ${place(login)}`);
}

function connect(login: FirstLogin, hostKey: Bytes32, wait: LoginWait): Promise<Client> {
  const client = new Client();
  const expected = sshBlob(hostKey);
  const attempt = new AbortController();
  let wrongKey = false;
  const opened = new Promise<Client>((resolve, reject) => {
    const fail = (error?: Error & { level?: string }): void => {
      if (wrongKey) reject(wrongHostKey(login));
      else if (error?.level === "client-authentication") {
        reject(new BridgeError("auth", `${place(login)} refused the login key`, { cause: error }));
      } else reject(unreachable(login, error));
    };
    client.once("ready", () => resolve(client));
    client.on("error", fail); // stays: an error on a connection nobody waits for must not end the process
    client.once("close", () => fail());
    const until = AbortSignal.any([wait.signal, attempt.signal]);
    void wait.clock.sleep(LOGIN_ATTEMPT_MS, until).then(() => fail(new Error("no answer in time")));
    client.connect({
      ...connection(login),
      hostVerifier: (blob: Buffer) => {
        wrongKey = !equal(blob, expected);
        return !wrongKey;
      },
    });
  });
  return opened
    .catch((error: unknown) => {
      client.destroy();
      throw error;
    })
    .finally(() => attempt.abort());
}

function connection(login: FirstLogin): ConnectConfig {
  return {
    host: login.host,
    port: login.port,
    username: login.user,
    privateKey: sshPrivateFile(login.bootstrapLoginSeed.reveal()),
    authHandler: ["publickey"],
    readyTimeout: 0, // the clock decides
    algorithms: {
      kex: ["curve25519-sha256", "curve25519-sha256@libssh.org"],
      serverHostKey: ["ssh-ed25519"],
      cipher: ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"],
      compress: ["none"],
    },
  };
}

async function handOver(client: Client, login: FirstLogin, wait: LoginWait): Promise<Bytes32> {
  const attempt = new AbortController();
  const until = AbortSignal.any([wait.signal, attempt.signal]);
  void wait.clock.sleep(LOGIN_ATTEMPT_MS, until).then(() => client.destroy());
  const { code, output, errors } = await runCommand(client, login).finally(() => attempt.abort());
  if (code === undefined) throw lost(login);
  if (code !== 0) {
    throw new BridgeError("bug", `the handover on ${place(login)} ended with ${code}: ${errors}`);
  }
  try {
    return login.handover.hostKey(output);
  } catch (cause) {
    throw new BridgeError("bug", `the handover on ${place(login)} returned no host key`, { cause });
  }
}

interface Answer {
  /** Undefined when the session broke before it arrived. */
  readonly code: number | string | undefined;
  readonly output: Uint8Array;
  readonly errors: string;
}

function runCommand(client: Client, login: FirstLogin): Promise<Answer> {
  const { command, input } = login.handover;
  return new Promise((resolve, reject) => {
    // A channel that is open reports its own end, also when the connection breaks.
    let open = false;
    client.once("close", () => {
      if (!open) resolve({ code: undefined, output: new Uint8Array(0), errors: "" });
    });
    client.exec(command, (error, channel) => {
      if (error !== undefined && error !== null) {
        return reject(lost(login, error)); // a refusal and a broken session look the same here
      }
      open = true;
      collect(channel).then(resolve, reject);
      channel.end(input(login.loginKey));
    });
  });
}

function collect(channel: ClientChannel): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let output: Uint8Array = new Uint8Array(0);
    let errors = "";
    let code: number | string | undefined;
    channel.on("data", (chunk: Uint8Array) => {
      output = concat(output, chunk);
      if (output.length <= HANDOVER_OUTPUT_BYTES_MAX) return;
      reject(
        new BridgeError("bug", `the handover printed over ${HANDOVER_OUTPUT_BYTES_MAX} bytes`),
      );
    });
    channel.stderr.on("data", (chunk: Buffer) => {
      errors = (errors + chunk.toString("latin1").replaceAll(/[^ -~]+/g, " ")).slice(
        0,
        HANDOVER_ERROR_CHARS_MAX,
      );
    });
    channel.on("exit", (status: number | null, signal?: string) => {
      code = status ?? signal;
    });
    channel.on("close", () => resolve({ code, output, errors }));
  });
}

function wrongHostKey(login: FirstLogin): BridgeError {
  return new BridgeError("wrong-host-key", `${place(login)} shows a host key that is not its own`, {
    fix: "find out who answers at that address; the machine must be ended",
  });
}

function unreachable(login: FirstLogin, cause: Error | undefined): BridgeError {
  return new BridgeError("unreachable", `${place(login)} is not reachable by SSH`, { cause });
}

function lost(login: FirstLogin, cause?: Error): BridgeError {
  return new BridgeError("unknown-outcome", `${place(login)} was lost during the handover`, {
    cause,
  });
}

function place(login: FirstLogin): string {
  return `${login.host}:${login.port}`;
}
