import { describe, expect, test } from "bun:test";
import { encodeCanonical } from "../../src/base/canonical.ts";
import { CONFIG_BYTES_MAX, CONFIG_DEPTH_MAX } from "../../src/base/limits.ts";
import { integer, oneOf, strictObject, Type } from "../../src/base/schema.ts";
import { parseToml } from "../../src/config/toml.ts";
import { problemLines, refusal } from "./support.ts";

describe("what cannot be read as TOML", () => {
  test("a syntax error has its line and column and shows nothing of the file", () => {
    const error = refusal(() => parseToml('a = 1\nkey = "5ec7e75ec7e7\n', "c.toml"));
    expect(error.message).toContain("c.toml:2  is not TOML: ");
    expect(error.message).toContain("at column 20");
    expect(error.message).not.toContain("5ec7e7");
    expect(error.problems[0]?.line).toBe(2);
    expect(error.code).toBe("config-invalid");
  });

  test("duplicate keys and tables", () => {
    expect(refusal(() => parseToml("a = 1\n\na = 2\n", "c.toml")).problems[0]?.line).toBe(3);
    expect(refusal(() => parseToml("[a]\n[b]\n[a]\n", "c.toml")).problems[0]?.line).toBe(3);
    expect(refusal(() => parseToml("a.b = 1\n[a]\n", "c.toml")).problems[0]?.line).toBe(2);
  });

  test("bytes that are not UTF-8, with their line", () => {
    const bytes = Buffer.concat([
      Buffer.from("a = 1\nb = 'x"),
      Buffer.from([0xff]),
      Buffer.from("'\n"),
    ]);
    expect(problemLines(() => parseToml(bytes, "c.toml"))).toEqual([
      "c.toml:2  is not UTF-8 text (save the file as UTF-8, or name the right file)",
    ]);
    const cutShort = Buffer.from("a = 'é'").subarray(0, 6);
    expect(refusal(() => parseToml(cutShort, "c.toml")).problems[0]?.line).toBe(1);
  });

  test("10 MB, as bytes and as text, without parsing them", () => {
    const text = `a = "${"x".repeat(10_000_000)}"`;
    for (const input of [text, Buffer.from(text)]) {
      expect(problemLines(() => parseToml(input, "c.toml"))[0]).toContain(
        `has 10000006 bytes, at most ${CONFIG_BYTES_MAX} are read`,
      );
    }
  });

  test("deep nesting in every spelling", () => {
    const deep = 5000;
    const spellings = [
      `a = ${"[".repeat(deep)}${"]".repeat(deep)}`,
      `a = ${"{a=".repeat(deep)}1${"}".repeat(deep)}`,
      `${"a.".repeat(deep)}a = 1`,
      `[${"a.".repeat(deep)}a]`,
      `[[${"a.".repeat(deep)}a]]`,
      `[a.b.c.d.e]\nx = [[[[1]]]]`,
    ];
    for (const text of spellings) {
      expect(refusal(() => parseToml(text, "c.toml")).problems).toHaveLength(1);
    }
  });

  test("nesting up to the limit is read", () => {
    const path = Array.from({ length: CONFIG_DEPTH_MAX }, (_, i) => `k${i}`);
    expect(parseToml(`${path.join(".")} = 1`, "c.toml").lineOf(path)).toBe(1);
  });
});

describe("a document", () => {
  test("the line of a key that is missing is that of its table", () => {
    const document = parseToml("a = 1\n[b.c]\nd = 2\n", "c.toml");
    expect(document.lineOf(["b", "c", "d"])).toBe(3);
    expect(document.lineOf(["b", "c", "missing"])).toBe(2);
    expect(document.lineOf(["missing"])).toBeUndefined();
  });

  test("keys that other languages trip over are plain keys", () => {
    const { table } = parseToml("__proto__ = 1\nconstructor = 2\n", "c.toml");
    expect(Object.keys(table)).toEqual(["__proto__", "constructor"]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

const Schema = strictObject({
  version: Type.Literal(1),
  mode: oneOf(["fast", "safe"]),
  key: Type.Optional(Type.String({ pattern: "^[0-9a-f]{64}$" })),
  label: Type.Optional(Type.String({ minLength: 1, maxLength: 8 })),
  members: Type.Array(strictObject({ name: Type.String(), weight: integer(1, 9) }), {
    minItems: 1,
  }),
});

describe("decode", () => {
  test("gives the schema's type, in a form that can be encoded", () => {
    const text = 'version = 1\nmode = "safe"\n[[members]]\nname = "a"\nweight = 2\n';
    const decoded = parseToml(text, "c.toml").decode(Schema);
    expect(decoded.members[0]?.weight).toBe(2);
    expect(encodeCanonical(decoded).length).toBeGreaterThan(20);
  });

  test("reports every mismatch once, at its line", () => {
    const text = `version = 2
mode = "quick"
key = "abc"
label = "much too long"
[[members]]
name = 1979-05-27
weight = 99999999999999999999
[[members]]
nmae = "b"
weight = 1.5
`;
    expect(problemLines(() => parseToml(text, "c.toml").decode(Schema))).toEqual([
      "c.toml:1  version  must be 1, it is the number 2 (correct the value)",
      'c.toml:2  mode  must be one of fast, safe, it is the text "quick" (correct the value)',
      'c.toml:3  key  must be 64 lower-case hex characters, it is the text "abc" (correct the value)',
      'c.toml:4  label  must be text of 1 to 8 characters, it is the text "much too long" (correct the value)',
      "c.toml:6  members[0].name  must be text, it is the date 1979-05-27 (correct the value)",
      "c.toml:7  members[0].weight  must be a whole number from 1 to 9, it is the number 99999999999999999999 (correct the value)",
      "c.toml:8  members[1].name  is required and not set (set it to text)",
      "c.toml:9  members[1].nmae  is not a known key (did you mean name?)",
      "c.toml:10  members[1].weight  must be a whole number from 1 to 9, it is the number 1.5 (correct the value)",
    ]);
  });

  test("an empty file misses everything, without a line", () => {
    const { problems } = refusal(() => parseToml("", "c.toml").decode(Schema));
    expect(problems.map(({ path, line }) => [path, line])).toEqual([
      ["version", undefined],
      ["mode", undefined],
      ["members", undefined],
    ]);
  });

  test("a wrong shape at any place", () => {
    const shape = 'version = [1]\nmode = {}\nmembers = "x"\n';
    expect(problemLines(() => parseToml(shape, "c.toml").decode(Schema))).toEqual([
      "c.toml:1  version  must be 1, it is a list (correct the value)",
      "c.toml:2  mode  must be one of fast, safe, it is a table (correct the value)",
      'c.toml:3  members  must be a list of at least 1 entries, it is the text "x" (correct the value)',
    ]);
  });

  test("a report is bounded and says so", () => {
    const many = Array.from({ length: 5000 }, (_, i) => `unknown${i} = 1`).join("\n");
    const error = refusal(() => parseToml(many, "c.toml").decode(Schema));
    expect(error.problems).toHaveLength(64);
    expect(error.message).toEndWith("only the first 64 are shown");
  });

  test("what a terminal would act on is escaped", () => {
    const text =
      'version = 1\nmode = "\\u001b[31m\\u202e"\n"a\\u009bb" = 1\n[[members]]\nname=""\nweight=1\n';
    const lines = problemLines(() => parseToml(text, "c.toml").decode(Schema));
    expect(lines[0]).toContain('the text "\\u001b[31m\\u{202e}"');
    expect(lines[1]).toContain('"a\\u{9b}b"');
  });
});
