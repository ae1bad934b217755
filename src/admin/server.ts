/**
 * The operator's endpoint (DESIGN section 13): loopback only, totals only, writes by token. Every answer passes the
 * same three steps here, whatever the route: guard, app, headers.
 */
import type { Server } from "bun";
import type { Clock } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import { ADMIN_BODY_BYTES_MAX, ADMIN_IDLE_SECONDS, ADMIN_STOP_MS } from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import type { Secret } from "../base/secret.ts";
import { createApp } from "./app.ts";
import type { AdminSource } from "./facts.ts";
import { guard } from "./guard.ts";
import { createLive } from "./live.ts";
import type { Meters } from "./meters.ts";
import { isRefusal, problem, type Refuse } from "./problem.ts";
import { snapshotOf } from "./snapshot.ts";

export interface AdminOptions {
  readonly source: AdminSource;
  /** Those of the observer that looks at the same provider. */
  readonly meters: Meters;
  /** 0 takes any free one. */
  readonly port: number;
  /** 32 random bytes. */
  readonly token: Secret;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Admin {
  readonly port: number;
  /** http://127.0.0.1:PORT/ */
  readonly url: string;
  /** Ends live streams, lets open requests be answered, and cuts those that take long. */
  stop(): Promise<void>;
}

const HOST = "127.0.0.1";

const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** Throws `config-invalid` when the port is taken. */
export function startAdmin(options: AdminOptions): Admin {
  const { source, meters, token, clock, log } = options;
  const live = createLive({
    snapshot: () => JSON.stringify(snapshotOf(source.facts())),
    onChange: source.onChange,
    clock,
    log,
  });
  const refuse: Refuse = (error, headers) => {
    const known = isRefusal(error);
    if (!known) log.error("admin-failed", { error });
    meters.adminRefused.add({ code: known ? error.code : "invariant" });
    return problem(error, headers);
  };
  const app = createApp({ source, meters, live, log, refuse });
  const answer = async (request: Request): Promise<Response> => {
    try {
      guard(request, { port: () => port, token });
      return await app.handle(request);
    } catch (error) {
      return refuse(error);
    }
  };
  const server = listen(options.port, async (request) => {
    const response = await answer(request);
    for (const [name, value] of Object.entries(HEADERS)) {
      if (!response.headers.has(name)) response.headers.set(name, value);
    }
    return response;
  });
  const port = server.port ?? 0;
  return {
    port,
    url: `http://${HOST}:${port}/`,
    async stop() {
      live.stop();
      // Whoever ordered the stop is waiting for its answer.
      await Promise.race([server.stop(), clock.sleep(ADMIN_STOP_MS)]);
      await server.stop(true);
    },
  };
}

function listen(port: number, answer: (request: Request) => Promise<Response>): Server<undefined> {
  try {
    return Bun.serve({
      hostname: HOST,
      port,
      development: false, // the runtime's error page would show source
      idleTimeout: ADMIN_IDLE_SECONDS,
      // Above our own bound, which answers with a code; the runtime just hangs up.
      maxRequestBodySize: 16 * ADMIN_BODY_BYTES_MAX,
      fetch: answer,
      error: () => problem(undefined),
    });
  } catch (cause) {
    throw new BridgeError("config-invalid", `admin.port ${port} cannot be used`, {
      cause,
      fix: "stop what listens there, choose another port, or 0 for any free one",
    });
  }
}
