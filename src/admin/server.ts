/**
 * The operator's endpoint (DESIGN section 13): loopback only, totals only, writes by token. Every answer passes the
 * same three steps here, whatever the route: guard, app, headers.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { Secret } from "../base/secret.ts";
import { createApp } from "./app.ts";
import type { AdminSource } from "./facts.ts";
import { guard } from "./guard.ts";
import { type AdminListener, HOST } from "./listener.ts";
import { createLive } from "./live.ts";
import type { Meters } from "./meters.ts";
import { isRefusal, problem, type Refuse } from "./problem.ts";
import { snapshotOf } from "./snapshot.ts";

export interface AdminOptions {
  readonly source: AdminSource;
  /** Those of the observer that looks at the same provider. */
  readonly meters: Meters;
  readonly listener: AdminListener;
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

const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

export function startAdmin(options: AdminOptions): Admin {
  const { source, meters, listener, token, clock, log } = options;
  const { port } = listener;
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
      guard(request, { port, token });
      return await app.handle(request);
    } catch (error) {
      return refuse(error);
    }
  };
  listener.serve(async (request) => {
    const response = await answer(request);
    for (const [name, value] of Object.entries(HEADERS)) {
      if (!response.headers.has(name)) response.headers.set(name, value);
    }
    return response;
  });
  return {
    port,
    url: `http://${HOST}:${port}/`,
    async stop() {
      live.stop();
      await listener.stop();
    },
  };
}
