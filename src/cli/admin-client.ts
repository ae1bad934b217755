/** Talking to a running provider's admin endpoint, found through its configuration's state directory. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BridgeError } from "../base/errors.ts";
import { ADMIN_CALL_MS } from "../base/limits.ts";
import { REGION_CLASSES } from "../coalition/classes.ts";
import { loadProviderConfig, readConfigFile } from "../config/load.ts";
import { ADMIN_TOKEN_FILE, ADMIN_URL_FILE } from "../stages/state-dir.ts";
import type { Option, Values } from "./command.ts";

export const adminOptions: { readonly [name: string]: Option } = {
  config: { value: "FILE", help: "the provider's configuration" },
  set: { value: "KEY=VALUE", multiple: true, help: "override one setting" },
};

/** Throws `unreachable` when nobody listens, `timeout` and `closed`, and `refused-by-peer`. */
export interface AdminClient {
  readonly stateDir: string;
  get(path: string): Promise<unknown>;
  post(path: string, body: object): Promise<unknown>;
}

export function adminClient(values: Values, callMs = ADMIN_CALL_MS): AdminClient {
  const source = readConfigFile(values.required("config"));
  const { config } = loadProviderConfig(source, {
    env: process.env,
    flags: values.list("set"),
    regionClasses: REGION_CLASSES,
  });
  const { stateDir } = config.provider;
  const urlFile = join(stateDir, ADMIN_URL_FILE);
  if (!existsSync(urlFile)) throw notRunning(stateDir);
  const base = readFileSync(urlFile, "utf8").trim();
  const call = async (path: string, init: RequestInit): Promise<unknown> => {
    let response: Response;
    try {
      response = await fetch(new URL(path, base), {
        ...init,
        signal: AbortSignal.timeout(callMs),
      });
    } catch (cause) {
      throw failure(stateDir, cause);
    }
    const body: unknown = await response.json().catch(() => undefined);
    if (response.ok) return body;
    const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
    throw new BridgeError(
      "refused-by-peer",
      `the provider answered ${response.status} ${String(code)}: ${String(message)}`,
    );
  };
  return {
    stateDir,
    get: (path) => call(path, {}),
    post: (path, body) =>
      call(path, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          authorization: `Bearer ${readFileSync(join(stateDir, ADMIN_TOKEN_FILE), "utf8").trim()}`,
        },
        body: JSON.stringify(body),
      }),
  };
}

/**
 * `unreachable` only when nobody listens: a provider that is stopped, starved or just ending has not gone for that.
 * `timeout` and `closed` say that it may be asked again.
 */
function failure(stateDir: string, cause: unknown): BridgeError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ECONNREFUSED" || code === "ConnectionRefused") return notRunning(stateDir, cause);
  const timedOut = cause instanceof Error && cause.name === "TimeoutError";
  return new BridgeError(
    timedOut ? "timeout" : "closed",
    `the provider of the state directory ${stateDir} ${timedOut ? "does not answer" : "broke off"}`,
    { cause, retry: "later", fix: "look at its log, and ask again" },
  );
}

function notRunning(stateDir: string, cause?: unknown): BridgeError {
  return new BridgeError("unreachable", `no provider answers for the state directory ${stateDir}`, {
    cause,
    retry: "later",
    fix: "start it with compute-bridge provider --config FILE",
  });
}
