import { describe, expect, test } from "bun:test";
import { assert, must, unreachable } from "../../src/base/assert.ts";
import {
  BridgeError,
  codeOf,
  ERROR_CODES,
  type ErrorCode,
  explain,
  hasCode,
} from "../../src/base/errors.ts";
import { codeThrownBy } from "../support/codes.ts";

describe("the table", () => {
  const entries = Object.entries(ERROR_CODES).flatMap(([family, codes]) =>
    codes.map((code: ErrorCode) => [family, code] as const),
  );

  test("a code belongs to exactly one family", () => {
    expect(new Set(entries.map(([, code]) => code)).size).toBe(entries.length);
  });

  test("every code is kebab-case and its error knows its family", () => {
    for (const [family, code] of entries) {
      expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(new BridgeError(code, "text").family).toBe(family as "bug");
    }
  });
});

describe("errors", () => {
  test("carry what they were given, with careful defaults", () => {
    const cause = new Error("why");
    const error = new BridgeError("throttle", "slow down", { retry: "later", fix: "wait", cause });
    expect(error).toMatchObject({
      code: "throttle",
      family: "backend",
      retry: "later",
      fix: "wait",
    });
    expect(error.cause).toBe(cause);
    expect(error).toBeInstanceOf(Error);
    expect(new BridgeError("auth", "no")).toMatchObject({ retry: "never", fix: undefined });
    expect("cause" in new BridgeError("auth", "no")).toBe(false);
  });

  test("codeOf and hasCode", () => {
    expect(codeOf(new BridgeError("quota", ""))).toBe("quota");
    expect(codeOf(new Error("quota"))).toBe("invariant");
    expect(codeOf("quota")).toBe("invariant");
    expect(hasCode(new BridgeError("quota", ""), "capacity", "quota")).toBe(true);
    expect(hasCode(new BridgeError("quota", ""), "capacity")).toBe(false);
    expect(hasCode(new Error("quota"), "quota")).toBe(false);
  });
});

describe("explain", () => {
  test("is one line of code, text, causes and fix", () => {
    const error = new BridgeError("unreachable", "no peer", {
      fix: "check the address",
      cause: new BridgeError("timeout", "30 s", { cause: new Error("ETIMEDOUT") }),
    });
    expect(explain(error)).toBe(
      "unreachable: no peer; caused by timeout: 30 s; caused by ETIMEDOUT (check the address)",
    );
  });

  test("ends for a circle of causes", () => {
    const error = new Error("round");
    error.cause = error;
    expect(explain(error).split("round").length).toBeLessThan(10);
  });

  test("takes anything that can be thrown", () => {
    for (const thrown of [undefined, null, 7, "text", { a: 1 }]) {
      expect(typeof explain(thrown)).toBe("string");
    }
  });
});

test("assert, must and unreachable raise invariants", () => {
  expect(codeThrownBy(() => assert(false, "x"))).toBe("invariant");
  expect(codeThrownBy(() => assert(true, "x"))).toBeUndefined();
  expect(codeThrownBy(() => must(undefined, "x"))).toBe("invariant");
  expect(codeThrownBy(() => must(null, "x"))).toBe("invariant");
  expect([must(0, "x"), must("", "x"), must(false, "x")]).toEqual([0, "", false]);
  expect(codeThrownBy(() => unreachable("variant" as never))).toBe("invariant");
});
