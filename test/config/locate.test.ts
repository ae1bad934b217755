import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parse, stringify } from "smol-toml";
import { CONFIG_DEPTH_MAX } from "../../src/base/limits.ts";
import { type KeyPath, locate, spotKey } from "../../src/config/locate.ts";

function lineOf(text: string, ...path: KeyPath): number | undefined {
  return locate(text).get(spotKey(path))?.line;
}

describe("lines of keys", () => {
  test("tables, dotted and quoted keys, comments and blank lines", () => {
    const text = `# a comment with [brackets] and = signs
top = 1

[ server . "quo ted" ] # header
'a.b' = 2   # literal key
c.d."e\\u0066" = 3
[server]
port = 4
`;
    expect(lineOf(text, "top")).toBe(2);
    expect(lineOf(text, "server", "quo ted")).toBe(4);
    expect(lineOf(text, "server", "quo ted", "a.b")).toBe(5);
    expect(lineOf(text, "server", "quo ted", "c")).toBe(6);
    expect(lineOf(text, "server", "quo ted", "c", "d", "ef")).toBe(6);
    expect(lineOf(text, "server")).toBe(7);
    expect(lineOf(text, "server", "port")).toBe(8);
    expect(lineOf(text, "server", "prot")).toBeUndefined();
  });

  test("lists of tables, also nested in each other", () => {
    const text = `[[fruit]]
name = "a"
[fruit.shape]
round = true
[[fruit.kind]]
x = 1
[[fruit.kind]]
x = 2
[[fruit]]
[[fruit.kind]]
x = 3
`;
    expect(lineOf(text, "fruit", 0, "name")).toBe(2);
    expect(lineOf(text, "fruit", 0, "shape", "round")).toBe(4);
    expect(lineOf(text, "fruit", 0, "kind", 1)).toBe(7);
    expect(lineOf(text, "fruit", 0, "kind", 1, "x")).toBe(8);
    expect(lineOf(text, "fruit", 1)).toBe(9);
    expect(lineOf(text, "fruit", 1, "kind", 0, "x")).toBe(11);
  });

  test("lists and inline tables over several lines", () => {
    const text = `list = [ # first
  "one, ]", # comment, with ] and "
  'two',

  { a = 1, b.c = [
    7, 8 ] },
]
after = 1
`;
    expect(lineOf(text, "list", 0)).toBe(2);
    expect(lineOf(text, "list", 1)).toBe(3);
    expect(lineOf(text, "list", 2, "b", "c")).toBe(5);
    expect(lineOf(text, "list", 2, "b", "c", 1)).toBe(6);
    expect(lineOf(text, "after")).toBe(8);
  });

  test("multi-line strings hide whatever looks like a key", () => {
    const text = `a = """
b = 1
\\""" still
[c]
""""
d = '''
e = 1'''
f = 2
`;
    expect(lineOf(text, "a")).toBe(1);
    expect(lineOf(text, "d")).toBe(6);
    expect(lineOf(text, "f")).toBe(8);
    expect(lineOf(text, "b")).toBeUndefined();
    expect(lineOf(text, "c")).toBeUndefined();
  });

  test("CRLF line ends and a byte order mark", () => {
    expect(lineOf("\ufeffa = 1\r\n\r\n[b]\r\nc = 2\r\n", "b", "c")).toBe(4);
  });

  test("numbers and dates keep their spelling", () => {
    const spots = locate('a = 1_000.50 # x\nb = [0.10, 1979-05-27 07:32:00]\nc = "0.1"\n');
    expect(spots.get(spotKey(["a"]))?.text).toBe("1_000.50");
    expect(spots.get(spotKey(["b", 0]))?.text).toBe("0.10");
    expect(spots.get(spotKey(["b", 1]))?.text).toBe("1979-05-27 07:32:00");
    expect(spots.get(spotKey(["c"]))?.text).toBeUndefined();
  });
});

type Leaf = { readonly path: KeyPath; readonly value: unknown };

/** Every number, string, boolean or date of a document that does not lie too deep. */
function leaves(value: unknown, path: KeyPath = []): Leaf[] {
  if (path.length > CONFIG_DEPTH_MAX) return [];
  if (Array.isArray(value)) return value.flatMap((item, i) => leaves(item, [...path, i]));
  if (typeof value === "object" && value !== null && !(value instanceof Date)) {
    return Object.entries(value).flatMap(([key, item]) => leaves(item, [...path, key]));
  }
  return [{ path, value }];
}

describe("properties", () => {
  const key = fc.oneof(
    fc.constantFrom("a", "b", "c", "key", "x-y", "0"),
    fc.string({ maxLength: 6, unit: "grapheme" }),
  );
  const tree = fc.letrec((tie) => ({
    node: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      tie("leaf"),
      tie("list"),
      tie("table"),
    ),
    leaf: fc.constant("LEAF"),
    list: fc.array(tie("node"), { maxLength: 3 }),
    table: fc.dictionary(key, tie("node"), { maxKeys: 4 }),
  }));

  test("a generated document: each unique value stands on the line that is named", () => {
    fc.assert(
      fc.property(tree.table, (shape) => {
        let next = 1_000_000;
        const numbered = JSON.parse(JSON.stringify(shape), (_, value) => {
          if (value !== "LEAF") return value;
          next += 1;
          return next;
        });
        const text = stringify(numbered);
        const lines = text.split("\n");
        const spots = locate(text);
        for (const { path, value } of leaves(parse(text))) {
          const spot = spots.get(spotKey(path));
          expect(spot?.text).toBe(String(value));
          expect(lines[(spot?.line ?? 0) - 1]).toContain(String(value));
        }
      }),
      { numRuns: 300 },
    );
  });

  const SAMPLE = `version = 1 # one
[a."b c".d]
s = "x\\"y" # t
m = """
z = 1 \\
"""
l = [1, [2.5, { k = 'v', w.x = true }],
  1979-05-27T07:32:00Z]
[[list]]
q = { r = [{}, []], "t=u" = '''
]''' }
[[list]]
[list.sub]
n = nan
`;

  test("mutated documents: what the parser accepts is fully located, and nothing is thrown", () => {
    let accepted = 0;
    const alphabet = [..." \n\"'[]{}=,.#\\ab1_-:T"];
    const edit = fc.record({
      at: fc.nat(SAMPLE.length),
      cut: fc.nat(3),
      insert: fc.array(fc.constantFrom(...alphabet), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        let text = SAMPLE;
        for (const { at, cut, insert } of edits) {
          text = text.slice(0, at) + insert.join("") + text.slice(at + cut);
        }
        let parsed: unknown;
        try {
          parsed = parse(text, { maxDepth: CONFIG_DEPTH_MAX });
        } catch {
          return;
        }
        accepted += 1;
        const spots = locate(text);
        for (const { path } of leaves(parsed)) expect(spots.has(spotKey(path))).toBe(true);
      }),
      { numRuns: 4000 },
    );
    expect(accepted).toBeGreaterThan(200);
  });
});
