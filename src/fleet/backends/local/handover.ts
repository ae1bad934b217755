/** The handover of a local machine: one command its own server answers, JSON both ways. */
import { type Bytes32, bytes32, fromHex, fromUtf8, toHex, utf8 } from "../../../base/bytes.ts";
import { BridgeError } from "../../../base/errors.ts";
import type { Handover } from "../../first-login.ts";

export const HANDOVER_COMMAND = "compute-bridge-handover";

export const localHandover: Handover = {
  command: HANDOVER_COMMAND,
  input: (loginKey) => writeKey("loginKey", loginKey),
  hostKey: (output) => readKey("hostKey", output),
};

export function writeKey(name: string, key: Bytes32): Uint8Array {
  return utf8(`${JSON.stringify({ v: 1, [name]: toHex(key) })}\n`);
}

/** The key in a message of exactly this shape. Throws `malformed`. */
export function readKey(name: string, message: Uint8Array): Bytes32 {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(message));
  } catch (cause) {
    throw new BridgeError("malformed", "the handover message is not JSON", { cause });
  }
  const { v, [name]: key, ...rest } = Object(value) as Record<string, unknown>;
  if (v !== 1 || typeof key !== "string" || Object.keys(rest).length > 0) {
    throw new BridgeError("malformed", `the handover message is not {v: 1, ${name}}`);
  }
  return bytes32(fromHex(key, name), name);
}
