import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseReport } from "./junit.ts";
import { type Outcome, runFiles } from "./runner.ts";
import { lostVectorCases } from "./skip.ts";

const root = mkdtempSync(join(tmpdir(), "runner-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const HEAD = `import { expect, test } from "bun:test";\n`;
const PLANTED = {
  "passes.test.ts": `${HEAD}test("one", () => expect(1).toBe(1));`,
  "fails.test.ts": `${HEAD}test("two <&> \\"three\\"", () => expect(1).toBe(2));`,
  "skips.test.ts": `${HEAD}test.skip("needs a-package", () => {}); test("runs", () => {});`,
  "no-load.test.ts": `${HEAD}throw new Error("at load");`,
  "dies.test.ts": `${HEAD}test("dies", () => process.exit(0));`,
  "empty.test.ts": `${HEAD}`,
  "needs.test.ts": `import { expect, test } from "bun:test";
    import { needs } from "${import.meta.dir}/skip.ts";
    import { vectorsDir } from "${import.meta.dir}/vectors.ts";
    test("what is there is handed over", () => expect(needs("bun", process.execPath)).toBe(process.execPath));
    if (needs("no-such-package", Bun.which("no-such-program")) !== undefined) throw new Error("found");
    if (vectorsDir("no-such-folder", 7) !== undefined) throw new Error("found");`,
};
for (const [name, source] of Object.entries(PLANTED)) writeFileSync(join(root, name), source);

function run(
  files: readonly (keyof typeof PLANTED)[],
  failSkips = false,
  noSkip?: "1",
): Promise<Outcome> {
  return runFiles({
    root,
    files,
    flags: [],
    env: { ...process.env, BRIDGE_NO_SKIP: noSkip },
    failSkips,
    output: "ignore",
  });
}

describe("the runner", () => {
  test("counts a passing file", async () => {
    expect(await run(["passes.test.ts"])).toEqual({ passed: 1, failed: 0, skipped: [], lost: [] });
  });

  test("counts a failing test", async () => {
    expect(await run(["passes.test.ts", "fails.test.ts"])).toMatchObject({ passed: 1, failed: 1 });
  });

  test("names what was skipped, and fails it when skips are not allowed", async () => {
    const lenient = await run(["skips.test.ts"]);
    expect(lenient).toMatchObject({ passed: 1, failed: 0 });
    expect(lenient.skipped.map((skipped) => skipped.name)).toEqual(["needs a-package"]);
    expect((await run(["skips.test.ts"], true)).failed).toBe(1);
  });

  for (const broken of ["no-load.test.ts", "dies.test.ts", "empty.test.ts"] as const) {
    test(`a file that never reports is a failure: ${broken}`, async () => {
      const alone = await run([broken]);
      expect(alone).toMatchObject({ passed: 0, failed: 1, lost: [broken] });
      expect((await run(["passes.test.ts", broken])).failed).toBeGreaterThan(0);
    });
  }
});

describe("what a test needs", () => {
  test("is named when it is missing, with the vector cases it costs", async () => {
    const outcome = await run(["needs.test.ts"]);
    expect(outcome).toMatchObject({ passed: 1, failed: 0 });
    expect(outcome.skipped.map((skipped) => skipped.name)).toEqual([
      "needs no-such-package",
      "needs published vectors: no-such-folder (7 cases)",
    ]);
    expect(outcome.skipped.map((skipped) => lostVectorCases(skipped.name))).toEqual([0, 7]);
  });

  test("is a failure under BRIDGE_NO_SKIP=1", async () => {
    expect(await run(["needs.test.ts"], true, "1")).toMatchObject({
      passed: 1,
      failed: 2,
      skipped: [],
    });
  });
});

describe("the report parser", () => {
  test("reads outcomes and undoes XML escapes", () => {
    const xml = `<testsuite name="f" file="f"><testcase name="a &lt;&amp;&gt; &quot;b&quot; &#10;" file="f" />
      <testcase name="s" file="f"><skipped /></testcase>
      <testcase name="x" file="f"><failure type="E" message="&lt;skipped">t</failure></testcase></testsuite>`;
    expect(parseReport(xml)).toEqual([
      { file: "f", name: 'a <&> "b" \n', outcome: "passed" },
      { file: "f", name: "s", outcome: "skipped" },
      { file: "f", name: "x", outcome: "failed" },
    ]);
  });
});
