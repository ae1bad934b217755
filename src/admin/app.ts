/** The routes, on Elysia. Whatever happens to a request before (guard) and after (headers) is in server.ts. */
import { openapi } from "@elysiajs/openapi";
import { Elysia } from "elysia";
import { build } from "../base/build.ts";
import { BridgeError } from "../base/errors.ts";
import { ADMIN_BODY_BYTES_MAX } from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import type { AdminSource, Order } from "./facts.ts";
import { tooLarge } from "./guard.ts";
import type { Live } from "./live.ts";
import type { Meters } from "./meters.ts";
import { metricsOf } from "./metrics.ts";
import { pageResponse } from "./page.ts";
import type { Refuse } from "./problem.ts";
import { METRICS_TYPE } from "./prometheus.ts";
import { readinessOf } from "./readiness.ts";
import * as schemas from "./schemas.ts";
import { snapshotOf } from "./snapshot.ts";
import { whyOf } from "./why.ts";

export interface AppOptions {
  readonly source: AdminSource;
  readonly meters: Meters;
  readonly live: Live;
  readonly log: Logger;
  readonly refuse: Refuse;
}

const READS = [
  "/",
  "/livez",
  "/readyz",
  "/healthz",
  "/metrics",
  "/api/v1/snapshot",
  "/api/v1/events",
  "/api/v1/why",
  "/openapi/json",
];
const WRITES = ["/api/v1/drain", "/api/v1/resume", "/api/v1/retire"];

export interface App {
  handle(request: Request): Promise<Response>;
}

export function createApp(options: AppOptions): App {
  const { refuse } = options;
  const app = new Elysia({ normalize: false, strictPath: true })
    .onError(({ code, error, request }) => {
      if (code === "NOT_FOUND") return notFound(request, refuse);
      return refuse(code === "VALIDATION" ? unfit() : error);
    })
    .use(documentation())
    .use(pageRoutes(options))
    .use(healthRoutes(options))
    .use(apiRoutes(options))
    .use(writeRoutes(options));
  return { handle: async (request) => await app.handle(request) };
}

function documentation() {
  return openapi({
    provider: null, // its pages would load scripts of another host
    path: "/openapi",
    specPath: "/openapi/json",
    documentation: {
      info: {
        title: "compute-bridge admin",
        version: build.version,
        description:
          "Totals of one provider, for its operator, on loopback. Writes need the token.",
      },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    },
  });
}

function pageRoutes({ source, meters, live }: AppOptions) {
  return new Elysia()
    .get("/", () => pageResponse(), { detail: { hide: true } })
    .get(
      "/metrics",
      () => {
        const { user, system } = process.cpuUsage();
        const running = {
          eventClients: live.clients,
          residentBytes: process.memoryUsage.rss(),
          cpuSeconds: (user + system) / 1e6,
        };
        return new Response(metricsOf(source.facts(), meters, running), {
          headers: { "content-type": METRICS_TYPE },
        });
      },
      { detail: textDetail("Prometheus metrics", METRICS_TYPE) },
    );
}

function healthRoutes({ source }: AppOptions) {
  const ready = () => {
    const readiness = readinessOf(source.facts());
    return Response.json(readiness, { status: readiness.ready ? 200 : 503 });
  };
  const documented = (summary: string) => ({
    detail: { summary, responses: bothWays(schemas.ReadySchema) },
  });
  return new Elysia()
    .get("/livez", () => ({ live: true as const }), {
      response: schemas.LiveSchema,
      detail: { summary: "The process runs; asks nothing of the outside" },
    })
    .get("/readyz", ready, documented("Can serve a grant now, check by check"))
    .get("/healthz", ready, documented("The same as /readyz"));
}

function apiRoutes({ source, live }: AppOptions) {
  return new Elysia({ prefix: "/api/v1" })
    .get("/snapshot", () => snapshotOf(source.facts()), {
      response: schemas.SnapshotSchema,
      detail: { summary: "Everything the page shows" },
    })
    .get("/why", () => whyOf(source.facts(), source.why()), {
      response: schemas.WhySchema,
      detail: { summary: "Why grants are turned away" },
    })
    .get("/events", () => live.connect(), {
      detail: textDetail("Snapshots as they change, as server-sent events", "text/event-stream"),
    });
}

function writeRoutes({ source, log }: AppOptions) {
  const write = (order: Order, act: (how: { terminate: boolean }) => void, takesBody: boolean) =>
    [
      async ({ request }: { request: Request }) => {
        const { terminate = false } = await bodyOf(request, takesBody);
        act({ terminate });
        log.info("admin-order", { order, terminate });
        const { provider, grants } = source.facts();
        return Response.json(
          { accepted: order, standing: provider.standing, grantsActive: grants.active },
          { status: 202 },
        );
      },
      { parse: "none" as const, detail: writeDetail(order, takesBody) },
    ] as const;
  return new Elysia({ prefix: "/api/v1" })
    .post("/drain", ...write("drain", source.drain, true))
    .post("/resume", ...write("resume", () => source.resume(), false))
    .post("/retire", ...write("retire", source.retire, true));
}

/** Read here and not by the framework, which takes JSON that does not parse for no body at all. */
async function bodyOf(request: Request, expected: boolean): Promise<{ terminate?: boolean }> {
  const text = await request.text();
  if (text.length > ADMIN_BODY_BYTES_MAX) throw tooLarge();
  if (text === "") return {};
  try {
    const body = schemas.endOrderCodec.check(JSON.parse(text));
    if (expected || Object.keys(body).length === 0) return body;
  } catch {
    // what was wrong with it is the client's to see; what it sent is not repeated
  }
  throw new BridgeError("bad-argument", "the body is not what this call takes", {
    fix: expected ? 'send nothing, {} or {"terminate": true}' : "send nothing or {}",
  });
}

function notFound(request: Request, refuse: Refuse): Response {
  const { pathname } = new URL(request.url);
  const allow = READS.includes(pathname) ? "GET" : WRITES.includes(pathname) ? "POST" : undefined;
  if (allow === undefined) {
    const fix = "see /openapi/json for what there is";
    return refuse(new BridgeError("no-such-path", "there is nothing at this path", { fix }));
  }
  const message = `this path takes ${allow} only`;
  return refuse(new BridgeError("wrong-method", message), { allow });
}

/** In place of the framework's own error, which repeats the answer that does not fit. */
function unfit(): BridgeError {
  return new BridgeError("invariant", "an answer does not fit its schema");
}

function textDetail(summary: string, type: string) {
  return {
    summary,
    responses: {
      200: { description: summary, content: { [type]: { schema: { type: "string" as const } } } },
    },
  };
}

function bothWays(schema: object) {
  const content = { "application/json": { schema } };
  return {
    200: { description: "Ready", content },
    503: { description: "Not ready", content },
  };
}

function writeDetail(order: Order, takesBody: boolean) {
  const summaries: Record<Order, string> = {
    drain: "No new grants; wait for the live ones, then stop",
    resume: "Take a drain back",
    retire: "Drain, then retire this provider for good",
  };
  const json = (schema: object) => ({ "application/json": { schema } });
  return {
    summary: summaries[order],
    security: [{ token: [] }],
    ...(takesBody ? { requestBody: { content: json(schemas.EndOrderSchema) } } : {}),
    responses: {
      202: { description: "Accepted", content: json(schemas.AcceptedSchema) },
      401: { description: "No token, or a wrong one", content: json(schemas.ProblemSchema) },
      409: { description: "Not as things stand", content: json(schemas.ProblemSchema) },
    },
  };
}
