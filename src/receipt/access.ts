/** Turns an opened receipt into files OpenSSH uses as they are: ssh_config, known_hosts, and the key if we got one. */
import { chmodSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { BridgeError } from "../base/errors.ts";
import { knownHostsLine, sshFingerprint, sshPrivateFile } from "../base/ssh-keys.ts";
import type { SshAccessReceipt } from "./receipt.ts";

export interface Access {
  readonly configPath: string;
  readonly knownHostsPath: string;
  readonly keyPath: string;
  /** argv of an interactive login; append a command to run one. */
  readonly command: readonly string[];
  readonly fingerprint: string;
}

export const HOST_ALIAS = "machine";
export const KNOWN_HOSTS_FILE = "known_hosts";
export const SSH_CONFIG_FILE = "ssh_config";
/** What a tenant runs to give the machine back before its time. */
export const END_COMMAND = "poweroff";

/** `keyPath` is the requester's own key file, if the envelope named its public half. */
export function writeAccess(
  directory: string,
  receipt: SshAccessReceipt,
  keyPath?: string,
): Access {
  const dir = resolve(directory);
  const knownHostsPath = join(dir, KNOWN_HOSTS_FILE);
  const configPath = join(dir, SSH_CONFIG_FILE);
  const { instanceHost, instancePort, user, sshHostKey, sshKeyPrivate } = receipt;
  let identity = keyPath === undefined ? undefined : resolve(keyPath);
  if (sshKeyPrivate !== undefined) {
    identity = join(dir, "id_ed25519");
    writePrivate(identity, sshPrivateFile(sshKeyPrivate, "compute-bridge"));
  }
  if (identity === undefined)
    throw new BridgeError("wrong-grant", "the receipt holds no login key and none was given");
  writePrivate(knownHostsPath, knownHostsLine(instanceHost, instancePort, sshHostKey));
  writePrivate(
    configPath,
    [
      `Host ${HOST_ALIAS}`,
      `  HostName ${instanceHost}`,
      `  Port ${instancePort}`,
      `  User ${user}`,
      `  IdentityFile ${quoted(identity)}`,
      "  IdentitiesOnly yes",
      `  UserKnownHostsFile ${quoted(knownHostsPath)}`,
      "  GlobalKnownHostsFile /dev/null",
      "  StrictHostKeyChecking yes",
      "  HostKeyAlgorithms ssh-ed25519",
      "  PasswordAuthentication no",
      "  ForwardAgent no",
      "",
    ].join("\n"),
  );
  return {
    configPath,
    knownHostsPath,
    keyPath: identity,
    command: ["ssh", "-F", configPath, HOST_ALIAS],
    fingerprint: sshFingerprint(sshHostKey),
  };
}

/** A path as ssh_config(5) takes it: quoted for its spaces, and `%` doubled because it begins a token. */
function quoted(path: string): string {
  return `"${path.replaceAll("%", "%%")}"`;
}

function writePrivate(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 });
  chmodSync(path, 0o600);
}
