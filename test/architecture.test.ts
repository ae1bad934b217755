/** The layout of DESIGN section 3, checked on the real sources and shown to fail on planted ones. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkArchitecture, type Violation } from "./architecture/rules.ts";
import { PROJECT } from "./support/vectors.ts";

function readSources(): Record<string, string> {
  const paths = [...new Bun.Glob("{src,image}/**/*.ts").scanSync({ cwd: PROJECT })].sort();
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(PROJECT, path), "utf8")]));
}

const show = (violations: readonly Violation[]): string[] =>
  violations.map(({ rule, where, what }) => `${where} ${rule}: ${what}`);

test("the sources keep the rules", async () => {
  const sources = readSources();
  expect(Object.keys(sources)).toContain("src/base/errors.ts");
  expect(show(await checkArchitecture(sources))).toEqual([]);
});

/** Everything a correct tree may do; the planted faults below change one file of it. */
const CLEAN = {
  "src/main.ts": `import pkg from "../package.json";\nimport { run } from "./cli/run.ts";\nconsole.log(pkg.version, process.env.HOME);\nrun();\n`,
  "src/provider.ts": `export const provider = () => import("./fleet/backends/aws/client.ts");\n`,
  "src/cli/run.ts": `import { provider } from "../provider.ts";\nimport { cut } from "../../image/tool.ts";\nexport function run() { return [provider, cut, process.env.X]; }\n`,
  "src/base/clock.ts": `export const jitter = () => Math.random();\n`,
  "src/base/errors.ts": `export class BridgeError extends Error {}\n`,
  "src/config/load.ts": `import { BridgeError } from "../base/errors.ts";\nexport const env = process.env ?? BridgeError;\n`,
  "src/network/node.ts": `import { jitter } from "../base/clock.ts";\nimport "libp2p";\nimport { join } from "node:path";\nexport { jitter, join };\n`,
  "src/fleet/route.ts": `import type { Client } from "./backends/aws/client.ts";\nimport { jitter } from "../network/node.ts";\nexport type { Client };\nexport { jitter };\n`,
  "src/fleet/backends/aws/client.ts": `import { jitter } from "../../../base/clock.ts";\nexport interface Client { wait: typeof jitter }\n`,
  "image/tool.ts": `import { BridgeError } from "../src/base/errors.ts";\nexport const cut = () => process.env.OUT ?? BridgeError;\n`,
};

const long = (lines: number): string =>
  Array.from({ length: lines }, (_, i) => `let v${i} = ${i};`).join("\n");

type Plant = readonly [why: string, rule: Violation["rule"], path: string, source: string];

const IMPORTS: readonly Plant[] = [
  ["a back import", "back-edge", "src/base/bytes.ts", `import { node } from "../network/node.ts";`],
  [
    "a back import of a type",
    "back-edge",
    "src/base/bytes.ts",
    `import type { N } from "../network/node.ts";`,
  ],
  [
    "a back import inside import { type }",
    "back-edge",
    "src/config/a.ts",
    `import { type N } from "../network/node.ts";`,
  ],
  ["a back re-export", "back-edge", "src/network/a.ts", `export * from "../fleet/route.ts";`],
  [
    "a back import()",
    "back-edge",
    "src/network/a.ts",
    `export const f = () => import("../fleet/route.ts");`,
  ],
  [
    "a back import type",
    "back-edge",
    "src/network/a.ts",
    `export type R = typeof import("../fleet/route.ts");`,
  ],
  [
    "a back require",
    "back-edge",
    "src/network/a.ts",
    `export const r = require("../fleet/route.ts");`,
  ],
  ["a back import for its effect", "back-edge", "src/network/a.ts", `import "../fleet/route.ts";`],
  [
    "a worker in a lower folder",
    "back-edge",
    "src/network/a.ts",
    `export const u = new URL("../fleet/w.ts", import.meta.url);`,
  ],
  [
    "an import after a string that looks like a comment",
    "back-edge",
    "src/network/a.ts",
    `const s = "/*"; import "../fleet/route.ts"; const t = "*/";`,
  ],
  [
    "a folder that imports a file of src itself",
    "back-edge",
    "src/stages/a.ts",
    `import { provider } from "../provider.ts";`,
  ],
  [
    "a folder that imports cli",
    "back-edge",
    "src/appliance/a.ts",
    `import { run } from "../cli/run.ts";`,
  ],
  [
    "a folder that imports the image builder",
    "back-edge",
    "src/fleet/a.ts",
    `import { cut } from "../../image/tool.ts";`,
  ],
  [
    "measurements",
    "outside",
    "src/cli/measure.ts",
    `import data from "../../measurements/v1.json";`,
  ],
  ["measurements by import()", "outside", "src/main.ts", `import("../measurements/v1.json");`],
  ["tests", "outside", "src/main.ts", `import { fake } from "../test/support/fake.ts";`],
  [
    "tests from the image builder",
    "outside",
    "image/a.ts",
    `import { fake } from "../test/support/fake.ts";`,
  ],
  ["an absolute path", "outside", "src/main.ts", `import "/etc/x.ts";`],
  ["a computed path", "computed-import", "src/main.ts", `const name = "./a.ts"; import(name);`],
  [
    "a template path",
    "computed-import",
    "src/main.ts",
    `const name = 1; import(\`./\${name}.ts\`);`,
  ],
  ["a folder that is not on the list", "unknown-folder", "src/utils/a.ts", `export const a = 1;`],
];

const SIZES: readonly Plant[] = [
  ["a file of 301 lines", "long-file", "src/base/a.ts", `${long(301)}\n`],
  ["a long image file", "long-file", "image/a.ts", long(301)],
  ["a function of 71 lines", "long-function", "src/base/a.ts", `function f() {\n${long(69)}\n}\n`],
  [
    "an arrow function of 71 lines",
    "long-function",
    "src/base/a.ts",
    `const f = () => {\n${long(69)}\n};\n`,
  ],
  [
    "a method of 71 lines",
    "long-function",
    "src/base/a.ts",
    `class C {\n  m() {\n${long(69)}\n  }\n}\n`,
  ],
  [
    "a constructor of 71 lines",
    "long-function",
    "src/base/a.ts",
    `class C {\n  constructor() {\n${long(69)}\n  }\n}\n`,
  ],
  [
    "a function whose callback is long",
    "long-function",
    "src/base/a.ts",
    `function f() {\n  return [1].map(() => {\n${long(67)}\n  });\n}\n`,
  ],
  [
    "a long function inside a template",
    "long-function",
    "src/base/a.ts",
    `const s = \`\${(() => {\n${long(69)}\n})()}\`;\n`,
  ],
];

const GLOBALS: readonly Plant[] = [
  ["export default", "default-export", "src/base/a.ts", `export default 1;`],
  ["export default function", "default-export", "src/base/a.ts", `export default function f() {}`],
  ["export default class", "default-export", "image/a.ts", `export default class {}`],
  ["export as default", "default-export", "src/base/a.ts", `const a = 1; export { a as default };`],
  ["process.env", "environment", "src/fleet/a.ts", `export const a = process.env.A;`],
  ['process["env"]', "environment", "src/fleet/a.ts", `export const a = process["env"];`],
  ["a destructured env", "environment", "src/fleet/a.ts", `export const { env } = process;`],
  ["a renamed env", "environment", "src/fleet/a.ts", `export const { env: mine } = process;`],
  [
    "an imported env",
    "environment",
    "src/fleet/a.ts",
    `import { env } from "node:process"; export { env };`,
  ],
  ["Bun.env", "environment", "src/fleet/a.ts", `export const a = Bun.env.A;`],
  ["import.meta.env", "environment", "src/fleet/a.ts", `export const a = import.meta.env;`],
  [
    "globalThis.process.env",
    "environment",
    "src/provider.ts",
    `export const a = globalThis.process.env;`,
  ],
  ["Math.random", "randomness", "src/cli/a.ts", `export const a = Math.random();`],
  ["a destructured random", "randomness", "src/base/a.ts", `export const { random } = Math;`],
];

describe("a clean tree", () => {
  test("has no violations", async () => {
    expect(show(await checkArchitecture(CLEAN))).toEqual([]);
  });

  test("limits are inclusive, and words in comments and strings are not code", async () => {
    const sources = {
      ...CLEAN,
      "src/base/a.ts": `${long(300)}\n`,
      "src/base/b.ts": `function f() {\n${long(68)}\n}\n`,
      "src/base/d.ts": `function f() {\n  const g = () => {\n${long(60)}\n  };\n  return { g, h() {\n${long(60)}\n  } };\n}\n`,
      "src/base/c.ts": `// import "../fleet/route.ts"; process.env; Math.random()\nexport const s = "process.env export default";\n`,
    };
    expect(show(await checkArchitecture(sources))).toEqual([]);
  });
});

for (const [name, plants] of Object.entries({ IMPORTS, SIZES, GLOBALS })) {
  describe(`planted faults: ${name.toLowerCase()}`, () => {
    for (const [why, rule, path, source] of plants) {
      test(`${why}: ${rule}`, async () => {
        const violations = await checkArchitecture({ ...CLEAN, [path]: source });
        expect(violations.map((violation) => violation.rule)).toEqual([rule]);
        expect(violations[0]?.where).toStartWith(path);
      });
    }
  });
}

describe("planted cycles", () => {
  test("between a file of src and cli, which may otherwise import each other", async () => {
    const sources = {
      ...CLEAN,
      "src/provider.ts": `import { run } from "./cli/run.ts";\nexport const provider = run;\n`,
    };
    expect(show(await checkArchitecture(sources))).toEqual([
      "src/cli/run.ts cycle: a circle of imports: src/cli/run.ts, src/provider.ts",
    ]);
  });

  test("between two folders: both the back edge and the circle", async () => {
    const sources = {
      ...CLEAN,
      "src/network/a.ts": `import { b } from "../fleet/b.ts";\nexport const a = b;\n`,
      "src/fleet/b.ts": `import { c } from "../ledger/c.ts";\nexport const b = c;\n`,
      "src/ledger/c.ts": `import { a } from "../network/a.ts";\nexport const c = a;\n`,
    };
    expect((await checkArchitecture(sources)).map(({ rule }) => rule)).toEqual([
      "back-edge",
      "cycle",
    ]);
  });

  test("within one folder is that folder's own affair", async () => {
    const sources = {
      ...CLEAN,
      "src/fleet/a.ts": `import { b } from "./backends/b.ts";\nexport const a = b;\n`,
      "src/fleet/backends/b.ts": `import type { a } from "../a.ts";\nexport const b = (x: typeof a) => x;\n`,
    };
    expect(show(await checkArchitecture(sources))).toEqual([]);
  });
});
