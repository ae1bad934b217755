/**
 * The port of the endpoint, taken before the provider shows itself to anybody, so that a taken one stops the start. It
 * is ours alone: with the runtime's default a second process of the same user could bind it as well, and would be
 * handed a part of the connections, tokens included.
 */
import { type Clock, systemClock } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import { ADMIN_BODY_BYTES_MAX, ADMIN_IDLE_SECONDS, ADMIN_STOP_MS } from "../base/limits.ts";
import { problem } from "./problem.ts";

export const HOST = "127.0.0.1";

type Answer = (request: Request) => Promise<Response>;

export interface AdminListener {
  readonly port: number;
  /** Until this is called, every request is told that the provider is starting. */
  serve(answer: Answer): void;
  /** Lets open requests be answered, and cuts those that take long. */
  stop(): Promise<void>;
}

/** 0 takes any free port. Throws `config-invalid` when it is taken or not ours to take. */
export function listenAdmin(port: number, clock: Clock = systemClock): AdminListener {
  let answer: Answer = async () => starting();
  const server = listen(port, (request) => answer(request));
  return {
    port: server.port ?? 0,
    serve(next) {
      answer = next;
    },
    async stop() {
      // Whoever ordered the stop is waiting for its answer.
      await Promise.race([server.stop(), clock.sleep(ADMIN_STOP_MS)]);
      await server.stop(true);
    },
  };
}

function listen(port: number, fetch: Answer): Bun.Server<undefined> {
  try {
    return Bun.serve({
      hostname: HOST,
      port,
      reusePort: false,
      development: false, // the runtime's error page would show source
      idleTimeout: ADMIN_IDLE_SECONDS,
      // Above our own bound, which answers with a code; the runtime just hangs up.
      maxRequestBodySize: 16 * ADMIN_BODY_BYTES_MAX,
      fetch,
      error: () => problem(undefined),
    });
  } catch (cause) {
    throw new BridgeError("config-invalid", `admin.port ${port} cannot be used`, {
      cause,
      fix: "stop what listens there, choose another port, or 0 for any free one",
    });
  }
}

function starting(): Response {
  return Response.json(
    { code: "not-now", message: "the provider is starting", fix: "ask again" },
    { status: 503, headers: { "retry-after": "1" } },
  );
}
