import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { base64, toHex, utf8 } from "../../src/base/bytes.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { LOG_FIELD_CHARS_MAX } from "../../src/base/limits.ts";
import { correlate, createLogger, type LogFields, type LogLevel } from "../../src/base/log.ts";
import { Secret } from "../../src/base/secret.ts";
import { bytes } from "../support/arbitraries.ts";

const AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function written(
  format: "json" | "text",
  use: (logger: ReturnType<typeof createLogger>) => void,
  level: LogLevel = "debug",
): string[] {
  const lines: string[] = [];
  use(createLogger({ level, format, write: (line) => lines.push(line), nowMs: () => AT_MS }));
  return lines;
}

function line(format: "json" | "text", fields: LogFields): string {
  return written(format, (log) => log.info("event", fields)).join("\n");
}

describe("form", () => {
  test("JSON", () => {
    const text = line("json", {
      text: "a b",
      number: 3,
      yes: true,
      nothing: null,
      absent: undefined,
    });
    expect(JSON.parse(text)).toEqual({
      ...{ at: "2026-01-02T03:04:05.678Z", level: "info", event: "event" },
      ...{ text: "a b", number: 3, yes: true, nothing: null },
    });
  });

  test("text", () => {
    expect(line("text", { text: "a b", plain: "ab", number: 3 })).toBe(
      '03:04:05.678 info  event text="a b" plain=ab number=3',
    );
  });

  test("lines below the level are not written", () => {
    const all = (log: ReturnType<typeof createLogger>): void => {
      log.debug("d");
      log.info("i");
      log.warn("w");
      log.error("e");
    };
    const events = (level: LogLevel): string[] =>
      written("json", all, level).map((text) => JSON.parse(text).event);
    expect(events("debug")).toEqual(["d", "i", "w", "e"]);
    expect(events("warn")).toEqual(["w", "e"]);
  });

  test("bound fields stand on every line and a call's own fields win", () => {
    const [first, second] = written("json", (log) => {
      const bound = log.with({ stage: "watch" }).with({ grant: 1 });
      bound.info("one");
      bound.warn("two", { grant: 2 });
    }).map((text) => JSON.parse(text));
    expect(first).toMatchObject({ stage: "watch", grant: 1 });
    expect(second).toMatchObject({ stage: "watch", grant: 2 });
  });
});

describe("redaction", () => {
  const HIDDEN = "correct horse battery staple";
  const FIELDS: Record<string, LogFields> = {
    "a secret": { key: new Secret(HIDDEN) },
    "a secret of bytes": { key: new Secret(utf8(HIDDEN)) },
    "an object that holds it": { key: { deep: [new Secret(HIDDEN), HIDDEN] } },
    "a list": { key: [HIDDEN, utf8(HIDDEN)] },
    "a secret thrown": { error: new Secret(HIDDEN) },
    "bytes thrown": { error: utf8(HIDDEN) },
    "a secret as an error's cause": { error: new Error("failed", { cause: new Secret(HIDDEN) }) },
    "a string as a BridgeError's cause": {
      error: new BridgeError("auth", "failed", { cause: HIDDEN }),
    },
    bytes: { key: utf8(HIDDEN) },
    "a Buffer": { key: Buffer.from(HIDDEN) },
    "a function": { key: () => HIDDEN },
    "a symbol": { key: Symbol(HIDDEN) },
  };
  const SPELLINGS = [
    HIDDEN,
    toHex(utf8(HIDDEN)).slice(0, 12),
    base64(utf8(HIDDEN)).slice(0, 12),
    [...utf8(HIDDEN).subarray(0, 6)].join(","),
  ];
  for (const [name, fields] of Object.entries(FIELDS)) {
    test(name, () => {
      for (const format of ["json", "text"] as const) {
        for (const spelling of SPELLINGS) expect(line(format, fields)).not.toContain(spelling);
      }
    });
  }

  test("bytes never appear in hex or base64, in any field or bound field", () => {
    fc.assert(
      fc.property(bytes(8, 64), (value) => {
        const text = written("json", (log) =>
          log.with({ bound: value }).info("event", { value }),
        ).join();
        expect(text).not.toContain(toHex(value).slice(0, 16));
        expect(text).not.toContain(base64(value).slice(0, 10));
        expect(text).toContain(`#${correlate(value)}`);
      }),
    );
  });

  test("one value has one handle, and different values have different ones", () => {
    fc.assert(
      fc.property(bytes(4, 32), bytes(4, 32), (a, b) => {
        expect(correlate(a) === correlate(b)).toBe(toHex(a) === toHex(b));
        expect(correlate(a)).toMatch(/^[0-9a-f]{10}$/);
      }),
    );
  });

  test("another process has other handles", () => {
    const source = `import { correlate } from "${import.meta.dir}/../../src/base/log.ts"; console.log(correlate(Uint8Array.of(1)))`;
    const { stdout } = Bun.spawnSync([process.execPath, "-e", source]);
    expect(stdout.toString().trim()).toMatch(/^[0-9a-f]{10}$/);
    expect(stdout.toString().trim()).not.toBe(correlate(Uint8Array.of(1)));
  });
});

describe("errors", () => {
  test("a BridgeError gives its code, text, fix and its cause's text", () => {
    const error = new BridgeError("quota", "no", { fix: "ask", cause: new Error("because") });
    expect(JSON.parse(line("json", { error }))).toMatchObject({
      ...{ code: "quota", error: "no", fix: "ask", cause: "because" },
    });
  });

  test("anything else is a bug of ours", () => {
    expect(JSON.parse(line("json", { error: new TypeError("x") }))).toMatchObject({
      ...{ code: "invariant", error: "x" },
    });
    expect(JSON.parse(line("json", { error: "thrown text" })).error).toBe("thrown text");
  });
});

describe("bounds", () => {
  const long = "x".repeat(10 * LOG_FIELD_CHARS_MAX);

  test("no text is longer than the limit, whatever it came in as", () => {
    const nested = new BridgeError("auth", long, { fix: long, cause: new Error(long) });
    for (const fields of [
      { text: long },
      { error: nested },
      { error: new Error(long) },
      { error: long },
    ]) {
      const values = Object.values(JSON.parse(line("json", fields)));
      for (const value of values)
        expect(String(value).length).toBeLessThanOrEqual(LOG_FIELD_CHARS_MAX);
    }
  });

  test("a text line stays one line, with no control or invisible character in it", () => {
    const string = fc.string({
      unit: fc.constantFrom(...'a= \n\r\t\u001b\u007f\u009b\u2028\u202e\u200b\0"\\'),
    });
    fc.assert(
      fc.property(string, (value) => {
        expect(line("text", { value })).not.toMatch(/[\p{C}\u2028\u2029]/u);
      }),
    );
  });
});
