import { describe, expect, test } from "bun:test";
import { format, inspect } from "node:util";
import { toHex, utf8 } from "../../src/base/bytes.ts";
import { BridgeError, explain } from "../../src/base/errors.ts";
import { Secret } from "../../src/base/secret.ts";

const TEXT = "correct horse battery staple";
const SPELLINGS = [
  TEXT,
  toHex(utf8(TEXT)),
  Buffer.from(TEXT).toString("base64"),
  [...utf8(TEXT).subarray(0, 6)].join(","),
  [...utf8(TEXT).subarray(0, 6)].join(", "),
];

const PRINTS: Record<string, (secret: Secret<Uint8Array> | Secret<string>) => string> = {
  "a template": (secret) => `${secret}`,
  "string addition": (secret) => `the key is ${String(secret)}`,
  "JSON.stringify": (secret) => JSON.stringify({ secret, list: [secret] }),
  "node:util inspect": (secret) => inspect({ secret, nested: [[secret]] }, { depth: 9 }),
  "inspect without custom printers": (secret) =>
    inspect(secret, { customInspect: false, showHidden: true }),
  "node:util format": (secret) => format("%s %o %j %O", secret, secret, secret, secret),
  "Bun.inspect": (secret) => Bun.inspect({ secret, nested: [[secret]] }, { depth: 9 }),
  "a table": (secret) => Bun.inspect.table([{ secret }]),
  "its keys and a spread": (secret) => inspect({ ...secret, keys: Reflect.ownKeys(secret) }),
  "a structured clone": (secret) => inspect(structuredClone(secret)),
  "an error's cause": (secret) => inspect(new Error("failed", { cause: secret })),
  "a BridgeError's cause": (secret) => {
    const error = new BridgeError("auth", "failed", { cause: secret });
    return `${inspect(error)} ${Bun.inspect(error)} ${explain(error)} ${JSON.stringify(error)} ${error.stack}`;
  },
  "a thrown secret": (secret) => explain(secret),
  "a map and a set": (secret) => inspect(new Map([[secret, new Set([secret])]])),
};

describe("no printed form shows the value", () => {
  for (const [name, print] of Object.entries(PRINTS)) {
    test(name, () => {
      for (const secret of [new Secret(TEXT), new Secret(utf8(TEXT))]) {
        const printed = print(secret);
        for (const spelling of SPELLINGS) expect(printed).not.toContain(spelling);
      }
    });
  }

  test("the placeholder stands in its place", () => {
    expect(`${new Secret(TEXT)}`).toBe("[secret]");
    expect(JSON.stringify([new Secret(TEXT)])).toBe('["[secret]"]');
    expect(inspect(new Secret(TEXT))).toBe("[secret]");
  });
});

describe("the value", () => {
  test("comes out of reveal alone", () => {
    expect(new Secret(TEXT).reveal()).toBe(TEXT);
    expect(toHex(new Secret(utf8(TEXT)).reveal())).toBe(toHex(utf8(TEXT)));
  });

  test("erase overwrites bytes in place and drops text", () => {
    const held = utf8(TEXT);
    const secret = new Secret(held);
    secret.erase();
    expect(held.every((byte) => byte === 0)).toBe(true);
    const text = new Secret<string>(TEXT);
    text.erase();
    expect(text.reveal()).toBe("");
  });
});
