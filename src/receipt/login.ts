/**
 * Runs one command on the machine of a receipt: with OpenSSH where it is installed, else with ssh2. Either way only the
 * host key of the receipt is accepted.
 */
import { readFileSync } from "node:fs";
import { Client, type ClientChannel } from "ssh2";
import { BridgeError } from "../base/errors.ts";
import { LOGIN_OUTPUT_BYTES_MAX, SSH_READY_MS } from "../base/limits.ts";
import { sshBlob } from "../base/ssh-keys.ts";
import type { Access } from "./access.ts";
import type { SshAccessReceipt } from "./receipt.ts";

export interface LoginResult {
  readonly client: "openssh" | "ssh2";
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runOnMachine(
  access: Access,
  receipt: SshAccessReceipt,
  command: string,
  signal: AbortSignal,
): Promise<LoginResult> {
  const openssh = Bun.which("ssh");
  return openssh === null
    ? await withSsh2(access, receipt, command, signal)
    : await withOpenSsh(openssh, access, command, signal);
}

async function withOpenSsh(
  program: string,
  access: Access,
  command: string,
  signal: AbortSignal,
): Promise<LoginResult> {
  const [, ...rest] = access.command;
  const child = Bun.spawn([program, "-o", "BatchMode=yes", ...rest, command], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    signal,
    maxBuffer: LOGIN_OUTPUT_BYTES_MAX,
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { client: "openssh", exitCode, stdout, stderr };
}

async function withSsh2(
  access: Access,
  receipt: SshAccessReceipt,
  command: string,
  signal: AbortSignal,
): Promise<LoginResult> {
  const client = new Client();
  const stop = (): void => void client.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      client
        .once("ready", resolve)
        .once("error", reject)
        .once("close", () => reject(new Error("closed")));
      client.connect({
        host: receipt.instanceHost,
        port: receipt.instancePort,
        username: receipt.user,
        privateKey: readFileSync(access.keyPath),
        hostVerifier: (key: Buffer) => key.equals(sshBlob(receipt.sshHostKey)),
        algorithms: { serverHostKey: ["ssh-ed25519"], cipher: ["aes256-gcm@openssh.com"] },
        readyTimeout: SSH_READY_MS,
      });
    });
    return await exec(client, command);
  } catch (cause) {
    throw new BridgeError("unreachable", "the login to the machine failed", {
      cause,
      retry: "later",
    });
  } finally {
    signal.removeEventListener("abort", stop);
    client.end();
  }
}

function exec(client: Client, command: string): Promise<LoginResult> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error: Error | undefined, channel: ClientChannel) => {
      if (error !== undefined) return reject(error);
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      let size = 0;
      const take = (into: Buffer[]) => (chunk: Buffer) => {
        size += chunk.length;
        if (size <= LOGIN_OUTPUT_BYTES_MAX) into.push(chunk);
        else channel.destroy();
      };
      let exitCode = 255;
      channel.on("data", take(out));
      channel.stderr.on("data", take(err));
      channel.on("exit", (code: number | null) => {
        exitCode = code ?? 255;
      });
      channel.on("close", () =>
        resolve({
          client: "ssh2",
          exitCode,
          stdout: Buffer.concat(out).toString(),
          stderr: Buffer.concat(err).toString(),
        }),
      );
    });
  });
}
