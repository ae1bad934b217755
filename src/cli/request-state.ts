/** The folder of a request: its secret state, written before anything is sent, so that a crash loses nothing. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import type { Coalition } from "../coalition/config.ts";
import { type RequestState, requestStateCodec } from "../zipnet/compose.ts";

const STATE_FILE = "request.json";

export function makeFolder(dir: string): void {
  if (existsSync(join(dir, STATE_FILE))) {
    throw new BridgeError("bad-argument", `${dir} already holds a request`, {
      fix: `go on with it by --resume ${dir}, or choose another --out`,
    });
  }
  mkdirSync(dir, { recursive: true, mode: 0o700 });
}

/** All or nothing: a half-written state would lose the keys of a request that is under way. */
export function saveState(dir: string, state: RequestState): void {
  const path = join(dir, STATE_FILE);
  writeFileSync(`${path}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function readState(dir: string, coalition: Coalition): RequestState {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(join(dir, STATE_FILE), "utf8"));
  } catch (cause) {
    throw new BridgeError("bad-argument", `${dir} holds no request to go on with`, { cause });
  }
  const state = requestStateCodec.check(value);
  if (state.coalition !== toHex(coalition.fingerprint)) {
    throw new BridgeError("bad-argument", "the request was made for another coalition file");
  }
  return state;
}
