/** Proof that a login reached a machine: it hashes a nonce that nobody can have known before. */
import { createHash, randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Ended, Sandbox } from "./processes.ts";

export interface Challenge {
  readonly command: string;
  /** What the command prints. */
  readonly answer: string;
}

export function challenge(): Challenge {
  const nonce = randomUUID();
  const digest = createHash("sha256").update(nonce).digest("hex");
  return { command: `printf %s ${nonce} | sha256sum`, answer: `${digest}  -\n` };
}

/** Runs `command` with OpenSSH and the files that `request` wrote into `dir`. */
export async function onMachine(sandbox: Sandbox, dir: string, command: string): Promise<Ended> {
  const config = join(dir, "ssh_config");
  return await sandbox.run(["ssh", "-o", "BatchMode=yes", "-F", config, "machine", command]);
}

/** Throws when the machine cannot be reached or is not the one of the receipt. */
export async function checkLogin(sandbox: Sandbox, dir: string): Promise<void> {
  const { command, answer } = challenge();
  const { exitCode, stdout, stderr } = await onMachine(sandbox, dir, command);
  if (exitCode !== 0 || stdout !== answer) throw new Error(`exit ${exitCode}\n${stdout}${stderr}`);
}

/** Gives the machine back. It may cut the line before its answer is through. */
export async function powerOff(sandbox: Sandbox, dir: string): Promise<void> {
  const { exitCode, stderr } = await onMachine(sandbox, dir, "poweroff");
  if (exitCode !== 0 && exitCode !== 255) throw new Error(`exit ${exitCode}\n${stderr}`);
}
