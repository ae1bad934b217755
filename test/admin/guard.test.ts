import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { ProblemSchema } from "../../src/admin/schemas.ts";
import { ADMIN_BODY_BYTES_MAX } from "../../src/base/limits.ts";
import { codec } from "../../src/base/schema.ts";
import { Secret } from "../../src/base/secret.ts";
import { readExposition, seriesValue } from "./exposition.ts";
import { type AdminRig, startAdminRig, TOKEN, TOKEN_HEX } from "./rig.ts";

const READS = [
  ...["/", "/livez", "/readyz", "/healthz", "/metrics", "/openapi/json", "/nowhere"],
  ...["/api/v1/snapshot", "/api/v1/why", "/api/v1/events"],
];
const WRITES = ["/api/v1/drain", "/api/v1/resume", "/api/v1/retire"];

let rig: AdminRig;
beforeAll(() => {
  rig = startAdminRig();
});
afterAll(() => rig.close());

const problems = codec(ProblemSchema, "problem");

/** Sends exactly these bytes; no client in between to mend them. */
function raw(request: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect(rig.admin.port, "127.0.0.1", () => socket.write(request));
    let text = "";
    socket.setTimeout(15_000, () => reject(new Error("no answer")));
    socket.on("data", (data) => {
      text += data;
      // A stream never ends; its status line is all that is asked here.
      if (/^HTTP\/1\.1 200[\s\S]*event-stream/.test(text)) socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve({ status: Number(text.slice(9, 12)), text }));
  });
}

const ask = (path: string, headers: string, method = "GET"): ReturnType<typeof raw> =>
  raw(`${method} ${path} HTTP/1.1\r\nConnection: close\r\n${headers}\r\n`);

describe("DNS rebinding: the Host", () => {
  test("of the three loopback names with our port is served", async () => {
    for (const name of ["127.0.0.1", "localhost", "LocalHost", "[::1]"]) {
      expect((await ask("/livez", `Host: ${name}:${rig.admin.port}\r\n`)).status).toBe(200);
    }
  });

  const foreign = (port: number): Record<string, string> => ({
    "another name": `Host: attacker.example:${port}\r\n`,
    "another name that resolves here": `Host: 127.0.0.1.attacker.example:${port}\r\n`,
    "no port": "Host: 127.0.0.1\r\n",
    "another port": `Host: 127.0.0.1:${port + 1}\r\n`,
    "a port with a zero in front": `Host: 127.0.0.1:0${port}\r\n`,
    "another loopback address": `Host: 127.0.0.2:${port}\r\n`,
    "a user in front": `Host: attacker@127.0.0.1:${port}\r\n`,
    "a name behind the port": `Host: 127.0.0.1:${port}@attacker.example\r\n`,
    "two of them, ours first": `Host: 127.0.0.1:${port}\r\nHost: attacker.example\r\n`,
    "two of them, ours last": `Host: attacker.example\r\nHost: 127.0.0.1:${port}\r\n`,
    "two equal ones": `Host: 127.0.0.1:${port}\r\nHost: 127.0.0.1:${port}\r\n`,
    "an empty one": "Host: \r\n",
    "a dot at the end": `Host: localhost.:${port}\r\n`,
    "a forwarded one beside a foreign one": `Host: attacker.example\r\nX-Forwarded-Host: 127.0.0.1:${port}\r\n`,
  });

  for (const name of Object.keys(foreign(1))) {
    test(`that is ${name} is refused`, async () => {
      const { status, text } = await ask("/api/v1/snapshot", foreign(rig.admin.port)[name] ?? "");
      expect(status).toBe(403);
      expect(problems.check(JSON.parse(text.slice(text.indexOf("\r\n\r\n")))).code).toBe(
        "foreign-host",
      );
      expect(text).not.toContain("attacker");
    });
  }

  test("that is missing is refused", async () => {
    const port = rig.admin.port;
    expect((await ask("/api/v1/snapshot", "")).status).toBe(400);
    const old = await raw(`GET http://127.0.0.1:${port}/livez HTTP/1.0\r\n\r\n`);
    expect([400, 403, 505]).toContain(old.status);
  });

  test("decides, whatever the request line names", async () => {
    const port = rig.admin.port;
    const request = `GET http://127.0.0.1:${port}/livez HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n`;
    expect((await raw(request)).status).toBe(403);
  });

  test("is looked at on every route", async () => {
    const bad = `Host: attacker.example:${rig.admin.port}\r\n`;
    for (const path of READS) expect((await ask(path, bad)).status).toBe(403);
    const token = `Authorization: Bearer ${TOKEN_HEX}\r\n`;
    for (const path of WRITES) expect((await ask(path, bad + token, "POST")).status).toBe(403);
    expect(rig.ordered).toEqual([]);
  });
});

describe("cross-site requests", () => {
  const own = (): string => `Host: 127.0.0.1:${rig.admin.port}\r\n`;
  const origins = (port: number): string[] => [
    "https://attacker.example",
    "null",
    `https://127.0.0.1:${port}`,
    `http://127.0.0.1:${port + 1}`,
    "http://127.0.0.1",
    `http://localhost:${port}`, // another origin than the host asked
    `http://127.0.0.1:${port}.attacker.example`,
    "",
  ];

  test("an Origin that is not our own is refused on every route", async () => {
    for (const origin of origins(rig.admin.port)) {
      const headers = `${own()}Origin: ${origin}\r\n`;
      for (const path of READS) expect((await ask(path, headers)).status).toBe(403);
      const token = `Authorization: Bearer ${TOKEN_HEX}\r\n`;
      for (const path of WRITES) {
        expect((await ask(path, headers + token, "POST")).status).toBe(403);
      }
    }
    expect(rig.ordered).toEqual([]);
  });

  test("our own page may ask", async () => {
    const headers = `${own()}Origin: http://127.0.0.1:${rig.admin.port}\r\nSec-Fetch-Site: same-origin\r\n`;
    for (const path of READS.filter((path) => path !== "/nowhere" && path !== "/readyz")) {
      const { status } = await ask(path, headers);
      expect([path, status]).toEqual([path, path === "/healthz" ? 503 : 200]);
    }
  });

  test("what a stranger's page embeds is refused although it has no Origin", async () => {
    for (const site of ["cross-site", "same-site", "made-up"]) {
      for (const rest of ["no-cors", "navigate"]) {
        const headers = `${own()}Sec-Fetch-Site: ${site}\r\nSec-Fetch-Mode: ${rest}\r\nSec-Fetch-Dest: iframe\r\n`;
        for (const path of READS) expect((await ask(path, headers)).status).toBe(403);
      }
    }
  });

  test("a link to the page is followed, and to the page only", async () => {
    const headers = `${own()}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n`;
    expect((await ask("/", headers)).status).toBe(200);
    expect((await ask("/api/v1/snapshot", headers)).status).toBe(403);
    expect((await ask("/?/api/v1/snapshot", headers)).text).toContain("text/html");
  });

  test("a preflight is refused and no CORS header is ever sent", async () => {
    const preflight = `${own()}Origin: http://127.0.0.1:${rig.admin.port}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n`;
    for (const path of WRITES) {
      const { status, text } = await ask(path, preflight, "OPTIONS");
      expect(status).toBe(405);
      expect(text.toLowerCase()).not.toContain("access-control");
    }
    for (const path of READS.filter((path) => path !== "/api/v1/events")) {
      const { headers } = await rig.get(path);
      expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
  });
});

test("every answer carries the security headers", async () => {
  const paths = [...READS.filter((path) => path !== "/api/v1/events"), "/api/v1/drain"];
  const answers = await Promise.all([
    ...paths.map((path) => rig.get(path)),
    rig.get("/", { headers: { host: "attacker.example" } }),
    rig.get("/", { method: "DELETE" }),
    rig.post("/api/v1/drain", "", { authorization: "" }),
  ]);
  const abort = new AbortController();
  answers.push(await rig.get("/api/v1/events", { signal: abort.signal }));
  abort.abort();
  for (const { headers } of answers) {
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
    expect(headers.get("content-type")).toBeString();
  }
});

describe("methods and paths", () => {
  test("everything but GET, and POST for the writes, is refused", async () => {
    for (const method of ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]) {
      for (const path of ["/", "/api/v1/snapshot", "/api/v1/drain"]) {
        expect((await ask(path, `Host: 127.0.0.1:${rig.admin.port}\r\n`, method)).status).toBe(405);
      }
    }
    for (const path of WRITES) {
      const answer = await rig.get(path);
      expect([answer.status, answer.headers.get("allow")]).toEqual([405, "POST"]);
    }
    for (const path of READS.filter((path) => path !== "/nowhere")) {
      const answer = await rig.post(path, "{}");
      expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET"]);
    }
  });

  test("a path has one spelling", async () => {
    for (const path of ["/livez/", "//livez", "/LIVEZ", "/api/v1/snapshot/", "/%6civez"]) {
      const { status } = await ask(path, `Host: 127.0.0.1:${rig.admin.port}\r\n`);
      expect([path, status]).toEqual([path, 404]);
    }
  });

  test("what is not there is not repeated", async () => {
    const answer = await rig.get("/c4n4ry?c4n4ry=c4n4ry", { headers: { c4n4ry: "c4n4ry" } });
    expect(answer.status).toBe(404);
    expect(await answer.text()).not.toContain("c4n4ry");
  });
});

describe("the token", () => {
  const wrong = TOKEN_HEX.replace("1f", "1e");
  const cases: Record<string, readonly [authorization: string | undefined, code: string]> = {
    "is missing": [undefined, "no-token"],
    "is empty": ["", "no-token"],
    "is of another scheme": [`Basic ${TOKEN_HEX}`, "no-token"],
    "has no scheme": [TOKEN_HEX, "no-token"],
    "has two parts": [`Bearer ${TOKEN_HEX} ${TOKEN_HEX}`, "no-token"],
    "differs in the last digit": [`Bearer ${wrong}`, "wrong-token"],
    "is cut off": [`Bearer ${TOKEN_HEX.slice(0, -2)}`, "wrong-token"],
    "is too long": [`Bearer ${TOKEN_HEX}00`, "wrong-token"],
    "is in capitals": [`Bearer ${TOKEN_HEX.toUpperCase()}`, "wrong-token"],
    "is the placeholder of a secret": ["Bearer [secret]", "wrong-token"],
  };
  for (const [name, [authorization, code]] of Object.entries(cases)) {
    test(`that ${name} opens no write`, async () => {
      for (const path of [...WRITES, "/api/v1/drain/", "/nowhere"]) {
        const answer = await rig.get(path, {
          method: "POST",
          body: '{"terminate":true}',
          ...(authorization === undefined ? {} : { headers: { authorization } }),
        });
        expect(answer.status).toBe(401);
        expect(answer.headers.get("www-authenticate")).toStartWith("Bearer");
        const text = await answer.text();
        expect(problems.check(JSON.parse(text)).code).toBe(code as "no-token");
        expect(text).not.toContain(TOKEN_HEX.slice(0, 8));
      }
      expect(rig.ordered).toEqual([]);
    });
  }

  test("in the address or the body is no token", async () => {
    const answer = await rig.get(`/api/v1/drain?token=${TOKEN_HEX}&authorization=Bearer`, {
      method: "POST",
      body: JSON.stringify({ token: TOKEN_HEX }),
    });
    expect(answer.status).toBe(401);
    expect(rig.ordered).toEqual([]);
  });

  test("is hidden from whoever prints the options", () => {
    expect(String(new Secret(TOKEN))).toBe("[secret]");
    expect(JSON.stringify({ token: new Secret(TOKEN) })).not.toContain("1");
  });
});

describe("bodies", () => {
  const long = "x".repeat(ADMIN_BODY_BYTES_MAX + 1);

  test("above the bound are refused, announced or not", async () => {
    const announced = await rig.post("/api/v1/drain", long);
    expect(announced.status).toBe(413);
    expect(problems.check(await announced.json()).code).toBe("too-large");
    const head = `POST /api/v1/drain HTTP/1.1\r\nHost: 127.0.0.1:${rig.admin.port}\r\nConnection: close\r\nAuthorization: Bearer ${TOKEN_HEX}\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const chunk = `${long.length.toString(16)}\r\n${long}\r\n`;
    expect((await raw(`${head}${chunk}0\r\n\r\n`)).status).toBe(413);
    expect((await raw(`${head}${chunk.repeat(64)}0\r\n\r\n`)).status).toBe(413);
    expect(rig.ordered).toEqual([]);
  });

  test("of a length that is no number are refused", async () => {
    for (const length of ["NaN", "-1", "0x10", "1e1"]) {
      const headers = `Host: 127.0.0.1:${rig.admin.port}\r\nAuthorization: Bearer ${TOKEN_HEX}\r\nContent-Length: ${length}\r\n`;
      expect([400, 413]).toContain((await ask("/api/v1/drain", headers, "POST")).status);
    }
    expect(rig.ordered).toEqual([]);
  });
});

test("what is refused is counted by code", async () => {
  const families = readExposition(await (await rig.get("/metrics")).text());
  const counted = (code: string): number =>
    seriesValue(families, "compute_bridge_admin_refused_total", { code });
  for (const code of ["foreign-host", "foreign-origin", "no-token", "wrong-token", "too-large"]) {
    expect(counted(code)).toBeGreaterThan(0);
  }
});
