/**
 * What every request must pass before the framework sees it. The endpoint listens on loopback, and a browser on the
 * operator's desk reaches loopback too: a page of a stranger can send requests here (cross-site request forgery), or
 * have its own name point here (DNS rebinding). So the Host must be one of ours, an Origin must be that same host, and
 * a write needs a token no page knows. Fetch metadata (W3C) refuses what a stranger's page embeds without an Origin.
 */
import { equal, toHex, utf8 } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { sha256 } from "../base/hash.ts";
import { ADMIN_BODY_BYTES_MAX } from "../base/limits.ts";
import type { Secret } from "../base/secret.ts";

export interface GuardOptions {
  /** Where the endpoint listens; an SSH forward must use the same number. */
  readonly port: number;
  /** 32 random bytes; a client sends their hex. */
  readonly token: Secret;
}

/** Throws a BridgeError of family `admin`, or `too-large`. */
export function guard(request: Request, { port, token }: GuardOptions): void {
  checkHost(request, port);
  checkOrigin(request);
  if (request.method === "GET") return;
  if (request.method !== "POST") {
    throw new BridgeError("wrong-method", "only GET, and POST for the writes", {
      fix: "see /openapi/json",
    });
  }
  checkToken(request, token);
  const bytes = Number(request.headers.get("content-length") ?? "0");
  if (!(bytes <= ADMIN_BODY_BYTES_MAX)) throw tooLarge();
}

export function tooLarge(): BridgeError {
  return new BridgeError("too-large", `a body has at most ${ADMIN_BODY_BYTES_MAX} bytes`);
}

function checkHost(request: Request, port: number): void {
  const names = ["127.0.0.1", "localhost", "[::1]"];
  const allowed = names.flatMap((name) => [
    `${name}:${port}`,
    ...(port === 80 ? [name] : []), // a browser leaves the default port out
  ]);
  const host = request.headers.get("host")?.toLowerCase();
  if (host !== undefined && allowed.includes(host)) return;
  throw new BridgeError("foreign-host", "the Host header does not name this endpoint", {
    fix: `use http://127.0.0.1:${port}; a forward must end at the same port number`,
  });
}

function checkOrigin(request: Request): void {
  const { headers } = request;
  const origin = headers.get("origin");
  const own = `http://${headers.get("host")?.toLowerCase()}`;
  if (origin !== null && origin !== own) throw foreignOrigin();
  const site = headers.get("sec-fetch-site");
  if (site === null || site === "same-origin" || site === "none") return;
  // A link to the page from elsewhere is fine: it is static, and nobody can frame it.
  const navigates = headers.get("sec-fetch-mode") === "navigate";
  const toPage = headers.get("sec-fetch-dest") === "document" && isPage(request);
  if (!navigates || !toPage) throw foreignOrigin();
}

function isPage(request: Request): boolean {
  return request.method === "GET" && new URL(request.url).pathname === "/";
}

function foreignOrigin(): BridgeError {
  return new BridgeError("foreign-origin", "another site's page may not ask here", {
    fix: "open the page itself, or use a client that sends no Origin",
  });
}

/** RFC 6750. Both sides are hashed, so that neither length nor contents show in the time it takes. */
function checkToken(request: Request, token: Secret): void {
  const header = request.headers.get("authorization");
  const presented = /^Bearer ([^\s]+)$/i.exec(header ?? "")?.[1];
  const fix = "send Authorization: Bearer with the contents of admin.token in the state directory";
  if (presented === undefined)
    throw new BridgeError("no-token", "a write needs the admin token", { fix });
  if (!equal(sha256(utf8(presented)), sha256(utf8(toHex(token.reveal())))))
    throw new BridgeError("wrong-token", "this is not the admin token", { fix });
}
