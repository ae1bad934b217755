/** The login key of a request: a new one, the person's own, or one the provider makes. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Bytes32, fromHex, toHex } from "../base/bytes.ts";
import { randomSeed, signingKey } from "../base/ed25519.ts";
import { BridgeError } from "../base/errors.ts";
import { type Static, strictObject, Type } from "../base/schema.ts";
import { parseSshPublicLine, sshPrivateFile } from "../base/ssh-keys.ts";
import type { Values } from "./command.ts";

export const KEY_FILE = "id_ed25519";

/** Kept with the request's state, so that `--resume` logs in with the key the envelope named. */
export const LoginSchema = Type.Union([
  strictObject({
    kind: Type.Literal("made"),
    seed: Type.String({ pattern: "^[0-9a-f]{64}$" }),
  }),
  /** Absolute path of the private key; only its public half was read. */
  strictObject({ kind: Type.Literal("file"), path: Type.String() }),
  strictObject({ kind: Type.Literal("provider") }),
]);
export type Login = Static<typeof LoginSchema>;

/** Reads at most the public key file. Throws `bad-argument`. */
export function chooseLogin(values: Values): {
  readonly login: Login;
  readonly publicKey: Bytes32 | undefined;
} {
  const given = values.text("ssh-key");
  if (values.has("provider-key")) {
    if (given === undefined) return { login: { kind: "provider" }, publicKey: undefined };
    throw new BridgeError("bad-argument", "--ssh-key and --provider-key exclude each other");
  }
  if (given === undefined) {
    const seed = randomSeed();
    return { login: { kind: "made", seed: toHex(seed) }, publicKey: signingKey(seed).publicKey };
  }
  const path = resolve(given.replace(/\.pub$/, ""));
  return { login: { kind: "file", path }, publicKey: readPublicKey(given) };
}

function readPublicKey(path: string): Bytes32 {
  try {
    return parseSshPublicLine(readFileSync(path, "utf8"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BridgeError("bad-argument", `--ssh-key ${path}: ${reason}`, {
      fix: "pass the .pub file of a key made with: ssh-keygen -t ed25519",
    });
  }
}

/** Path of the private key, which is written into the folder if it was made for this request. */
export function keyFileOf(login: Login, dir: string): string | undefined {
  if (login.kind === "provider") return undefined;
  if (login.kind === "file") return login.path;
  const path = join(dir, KEY_FILE);
  const text = sshPrivateFile(fromHex(login.seed, "login seed"), "compute-bridge");
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}
