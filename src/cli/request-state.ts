/** The folder of a request: its secret state, written before anything is sent, so that a crash loses nothing. */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { codec, type Static, strictObject } from "../base/schema.ts";
import type { Coalition } from "../coalition/config.ts";
import { KNOWN_HOSTS_FILE, SSH_CONFIG_FILE } from "../receipt/access.ts";
import { RequestStateSchema } from "../zipnet/compose.ts";
import { KEY_FILE, LoginSchema } from "./request-login.ts";

const STATE_FILE = "request.json";
/** What a receipt becomes; somebody else's file of that name must not be lost. */
const WRITTEN_LATER = [KEY_FILE, KNOWN_HOSTS_FILE, SSH_CONFIG_FILE] as const;

const SavedRequestSchema = strictObject({ ...RequestStateSchema.properties, login: LoginSchema });
export type SavedRequest = Static<typeof SavedRequestSchema>;
const savedRequestCodec = codec(SavedRequestSchema, STATE_FILE);

/** Makes the folder; nothing else is written before the request's state. Throws `bad-argument`. */
export function makeFolder(dir: string): void {
  if (existsSync(join(dir, STATE_FILE))) {
    throw new BridgeError("bad-argument", `${dir} already holds a request`, {
      fix: `go on with it by --resume ${dir}, or choose another --out`,
    });
  }
  const taken = WRITTEN_LATER.find((name) => existsSync(join(dir, name)));
  if (taken !== undefined) {
    throw new BridgeError("bad-argument", `${dir} already holds ${taken}`, {
      fix: "choose an empty folder as --out",
    });
  }
  writing(dir, () => {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    accessSync(dir, constants.W_OK | constants.X_OK);
  });
}

/** All or nothing: a half-written state would lose the keys of a request that is under way. */
export function saveState(dir: string, state: SavedRequest): void {
  const path = join(dir, STATE_FILE);
  writing(dir, () => {
    writeFileSync(`${path}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  });
}

export function readState(dir: string, coalition: Coalition): SavedRequest {
  let state: SavedRequest;
  try {
    state = savedRequestCodec.check(JSON.parse(readFileSync(join(dir, STATE_FILE), "utf8")));
  } catch (cause) {
    throw new BridgeError("bad-argument", `${dir} holds no request to go on with`, {
      cause,
      fix: "name the folder that was --out, or make a new request",
    });
  }
  if (state.coalition !== toHex(coalition.fingerprint)) {
    throw new BridgeError("bad-argument", "the request was made for another coalition file");
  }
  return state;
}

/** What the file system refuses is about the folder the person chose. */
export function writing<T>(dir: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    if (error instanceof BridgeError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new BridgeError("bad-argument", `cannot write into ${dir}: ${reason}`, {
      fix: "choose another --out, or make room there and go on with --resume",
    });
  }
}
