/**
 * Ed25519 keys in the forms SSH software reads: the one-line public key and wire blob (RFC 4253 section 6.6,
 * RFC 8709 section 4) and OpenSSH's own private key file (openssh-key-v1, PROTOCOL.key in OpenSSH).
 */
import { createHash } from "node:crypto";
import { type Bytes32, base64, bytes32, concat, u32be, utf8 } from "./bytes.ts";
import { signingKey } from "./ed25519.ts";
import { BridgeError } from "./errors.ts";

const TYPE = "ssh-ed25519";

/** string "ssh-ed25519", string key. */
export function sshBlob(publicKey: Uint8Array): Uint8Array {
  return concat(sshString(utf8(TYPE)), sshString(bytes32(publicKey, "ssh public key")));
}

/** `ssh-ed25519 AAAA… comment`, as in authorized_keys. */
export function sshPublicLine(publicKey: Uint8Array, comment = ""): string {
  return `${TYPE} ${base64(sshBlob(publicKey))}${comment === "" ? "" : ` ${comment}`}`;
}

/** The raw key in an authorized_keys line. Throws `malformed` for any other key type. */
export function parseSshPublicLine(line: string): Bytes32 {
  const [type, encoded] = line.trim().split(/\s+/);
  if (type !== TYPE || encoded === undefined) {
    throw new BridgeError("malformed", "not an ssh-ed25519 public key line", {
      fix: "pass the .pub file of a key made with: ssh-keygen -t ed25519",
    });
  }
  return parseSshBlob(new Uint8Array(Buffer.from(encoded, "base64")));
}

export function parseSshBlob(blob: Uint8Array): Bytes32 {
  const key = blob.slice(-32);
  if (key.length !== 32 || Buffer.compare(sshBlob(key), blob) !== 0) {
    throw new BridgeError("malformed", "not an ssh-ed25519 key blob");
  }
  return key as Bytes32;
}

/** `SHA256:…`, as ssh-keygen -l prints it. */
export function sshFingerprint(publicKey: Uint8Array): string {
  const digest = createHash("sha256").update(sshBlob(publicKey)).digest("base64");
  return `SHA256:${digest.replace(/=+$/, "")}`;
}

/** One known_hosts line that matches `host` on `port` (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export function knownHostsLine(host: string, port: number, publicKey: Uint8Array): string {
  return `${port === 22 ? host : `[${host}]:${port}`} ${sshPublicLine(publicKey)}\n`;
}

/** An unencrypted OpenSSH private key file for the seed. */
export function sshPrivateFile(seed: Uint8Array, comment = ""): string {
  const publicKey = signingKey(seed).publicKey;
  const check = createHash("sha256").update(publicKey).digest().subarray(0, 4);
  const secret = concat(
    check,
    check,
    sshString(utf8(TYPE)),
    sshString(publicKey),
    sshString(concat(seed, publicKey)),
    sshString(utf8(comment)),
  );
  const padding = Uint8Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, i) => i + 1);
  const file = concat(
    utf8("openssh-key-v1\0"),
    sshString(utf8("none")),
    sshString(utf8("none")),
    sshString(new Uint8Array(0)),
    u32be(1),
    sshString(sshBlob(publicKey)),
    sshString(concat(secret, padding)),
  );
  const lines = base64(file).match(/.{1,70}/g) ?? [];
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join("\n")}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

function sshString(bytes: Uint8Array): Uint8Array {
  return concat(u32be(bytes.length), bytes);
}
