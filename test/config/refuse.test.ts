import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parse } from "smol-toml";
import { explain } from "../../src/base/errors.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { MEMBER, member, PROVIDER, problemLines, provider, refusal, withLine } from "./support.ts";

const SEED = "5ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7";

/** The lines of the problems, in the order they are reported. */
function linesOf(text: string): (number | undefined)[] {
  return refusal(() => provider(text)).problems.map(({ line }) => line);
}

describe("everything at once", () => {
  test("two problems, at their lines", () => {
    const text = PROVIDER.replace("provider-1", "a b").replace("0.05", '"cheap"');
    expect(linesOf(text)).toEqual([3, 13]);
  });

  test("five problems, at their lines", () => {
    const text = `${PROVIDER.replace("version = 1", "version = 2").replace('"state"', "7")}
[limits]
grantsMax = 0
killSwitch = 1
[lgo]
level = "info"
`;
    expect(linesOf(text)).toEqual([1, 4, 16, 17, 18]);
  });

  test("an empty file names everything that is required", () => {
    const { problems } = refusal(() => provider(""));
    expect(problems.map(({ path }) => path)).toEqual([
      "version",
      "provider.name",
      "provider.stateDir",
      "operator.key",
      "coalition.file",
    ]);
    for (const problem of problems) {
      expect(problem.line).toBeUndefined();
      expect(problem.fix).toStartWith("write ");
    }
  });

  test("a whole report, as an operator reads it", () => {
    const text = readFileSync(join(import.meta.dir, "broken.toml"), "utf8");
    const options = { env: { COMPUTE_BRIDGE_ADMIN_PORT: "http" }, flags: ["log.levle=debug"] };
    const report = explain(refusal(() => provider(text, options)));
    expect(`${report}\n`).toBe(readFileSync(join(import.meta.dir, "broken.txt"), "utf8"));
  });

  test("a report stays on a few screens", () => {
    const many = Array.from({ length: 9000 }, (_, i) => `k${i} = 1`).join("\n");
    const error = refusal(() => provider(`${many}\n${PROVIDER}`));
    expect(error.problems).toHaveLength(64);
  });
});

describe("keys", () => {
  const adviceFor = (text: string) => refusal(() => provider(text)).problems[0];

  test("unknown ones, with the nearest known one", () => {
    expect(adviceFor(withLine("limits", "grantMax = 1"))).toMatchObject({
      path: "limits.grantMax",
      message: "is not a known key",
      fix: "did you mean grantsMax?",
    });
    expect(adviceFor(`limit.grantsMax = 1\n${PROVIDER}`)?.fix).toBe("did you mean limits?");
    expect(adviceFor(withLine("provider", "port = 1"))?.fix).toBe("did you mean admin.port?");
    expect(adviceFor(withLine("drain", "zebra = 1"))?.fix).toBe(
      "remove it; [drain] may hold waitMs",
    );
    expect(adviceFor(withLine("backends.local", "zone = 1"))?.path).toBe("backends.local.zone");
    expect(adviceFor(`__proto__.x = 1\n${PROVIDER}`)?.path).toBe("__proto__");
    expect(adviceFor(`constructor = 1\n${PROVIDER}`)?.path).toBe("constructor");
  });

  test("an unknown section is reported once, without what it holds", () => {
    const error = refusal(() => provider(`${PROVIDER}[secrets]\nkey = "${SEED}"\nmore = 1\n`));
    expect(error.problems.map(({ path }) => path)).toEqual(["secrets"]);
    expect(error.message).not.toContain(SEED);
  });

  test("sections of the other kind", () => {
    expect(
      problemLines(() => member(`${MEMBER}[admin]\nport = 1\n[backends.local]\nkind = "local"\n`)),
    ).toEqual([
      "member.toml:10  admin  is not a known key (remove it; a file may hold version, member, coalition, network, log)",
      "member.toml:12  backends  is not a known key (remove it; a file may hold version, member, coalition, network, log)",
    ]);
  });

  test("a section that is no table does not also miss its keys", () => {
    const text = PROVIDER.replace(/\[provider\]\n.*\n.*\n/, "");
    expect(problemLines(() => provider(`provider = "p"\n${text}`))).toEqual([
      "provider.toml:1  provider  must be a table (write [provider] and its keys below)",
    ]);
  });
});

describe("backends", () => {
  const rest = PROVIDER.slice(0, PROVIDER.indexOf("[backends"));
  const problemsFor = (text: string, options = {}) =>
    problemLines(() => provider(rest + text, options)).map((line) =>
      line.replace("provider.toml:", ""),
    );

  test.each(["aws", "gcp", "azure", "baremetal"])("%s is known and not in this version", (kind) => {
    const options = {
      env: { COMPUTE_BRIDGE_BACKENDS_CLOUD_REGION: "x" },
      flags: ["backends.cloud.zone=y"],
    };
    expect(problemsFor(`[backends.cloud]\nkind = "${kind}"\nregions = ["r"]\n`, options)).toEqual([
      `10  backends.cloud.kind  ${kind} is not in this version (remove the backend; this version has local)`,
    ]);
  });

  test("a kind that is unknown, missing or no text", () => {
    expect(
      problemsFor(
        '[backends.a]\nkind = "docker"\n[backends.b]\nmachinesMax = 1\n[backends.c]\nkind = 1\n',
      ),
    ).toEqual([
      '10  backends.a.kind  must be one of local, aws, gcp, azure, baremetal, it is the text "docker" (for example kind = "local")',
      '11  backends.b.kind  is required and not set (write kind = "local" under [backends.b])',
      '14  backends.c.kind  must be one of local, aws, gcp, azure, baremetal, it is the number 1 (for example kind = "local")',
    ]);
  });

  test("the confirmation that nothing is isolated", () => {
    const expected =
      "must be true: this backend runs strangers' programs on this host with nothing in between, it is false";
    const { problems } = refusal(() => provider(PROVIDER.replace("= true", "= false")));
    expect(problems[0]?.message).toBe(expected);
    const missing = refusal(() =>
      provider(PROVIDER.replace("iUnderstandThereIsNoIsolation = true\n", "")),
    );
    expect(missing.problems).toMatchObject([
      { path: "backends.local.iUnderstandThereIsNoIsolation", message: "is required and not set" },
    ]);
  });

  test("names", () => {
    const names = ["Local", '"x y"', "a_b", "1a", '""', "x".repeat(33), "__proto__", '"a.b"'];
    for (const name of names) {
      const text = `[backends.${name}]\nkind = "local"\n`;
      expect(problemsFor(text)).toHaveLength(1);
      expect(problemsFor(text)[0]).toContain("must be named with 1 to 32 lower-case letters");
    }
    expect(problemsFor("[[backends]]\nkind = 'local'\n")).toEqual([
      "9  backends  must be a table (write one table [backends.NAME] for each backend)",
    ]);
    expect(problemsFor("backends.local = 1\n")[0]).toContain("is not a known key");
    expect(problemsFor("[backends]\nlocal = 1\n")[0]).toBe(
      "10  backends.local  must be a table (write [backends.local] and its keys below)",
    );
  });

  test("two of one name are a syntax error", () => {
    expect(refusal(() => provider(`${PROVIDER}[backends.local]\n`)).problems).toMatchObject([
      { line: 14 },
    ]);
  });

  test("more than can be run", () => {
    const text = Array.from({ length: 18 }, (_, i) => `[backends.b${i}]\nkind = "aws"\n`).join("");
    expect(
      problemsFor(text).filter((line) => line.includes("more than the 16 backends")),
    ).toHaveLength(2);
  });
});

test("whatever a file holds, it loads or is refused with located problems", () => {
  const words = fc.constantFrom(
    "version",
    "limits",
    "spendPerDay",
    "backends",
    "local",
    "kind",
    "a b",
    "key",
    "operator",
    "__proto__",
  );
  const value = fc.oneof(
    fc.constantFrom(
      "1",
      "-1",
      "nan",
      '"local"',
      "true",
      "[]",
      "{}",
      "[[1]]",
      "{ a.b = 1 }",
      "1979-05-27",
      '"file:x"',
      "0.1",
      "'''\n\n'''",
    ),
    fc.string({ maxLength: 10 }).map((text) => JSON.stringify(text)),
  );
  const key = fc
    .array(words, { minLength: 1, maxLength: 3 })
    .map((parts) => parts.map((part) => JSON.stringify(part)).join("."));
  const line = fc.oneof(
    fc.tuple(key, value).map(([name, written]) => `${name} = ${written}`),
    key.map((name) => `[${name}]`),
    key.map((name) => `[[${name}]]`),
  );
  let located = 0;
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), fc.boolean(), (lines, isAppended) => {
      const text = isAppended
        ? `${PROVIDER}${lines.join("\n")}\n`
        : `${lines.join("\n")}\n${PROVIDER}`;
      try {
        provider(text);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        if (!(error instanceof ConfigError)) return;
        expect(error.problems.length).toBeGreaterThan(0);
        for (const problem of error.problems) {
          if (problem.line === undefined) continue;
          located += 1;
          expect(problem.line).toBeLessThanOrEqual(text.split("\n").length);
        }
        return;
      }
      expect(parse(text).version).toBe(1);
    }),
    { numRuns: 1500 },
  );
  expect(located).toBeGreaterThan(1000);
});
