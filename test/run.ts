/**
 * bun test/run.ts unit|system [filter…] [bun test flags…]
 *
 * `unit` is everything that needs nothing but this checkout; `system` is test/system (built binaries, OpenSSH,
 * killed processes, full disks). A filter keeps the files whose path contains it. Says what could not run and why, and
 * ends with the plain line `N passed, N failed`. Exit 1 when a test failed or none ran.
 */
import { relative } from "node:path";
import { type Outcome, runFiles } from "./support/runner.ts";
import { lostVectorCases, skipsAreFailures } from "./support/skip.ts";
import { PROJECT, vectorsEnvironment } from "./support/vectors.ts";

const SUITES = {
  // Two workers fit two cores; a file's processes share them, so no test may depend on speed.
  unit: {
    timeoutMs: 60_000,
    workers: 2,
    holds: (file: string) => !/^test\/(system|bench)\//.test(file),
  },
  // These build, boot and listen: side by side they would only fight over the cores.
  system: {
    timeoutMs: 900_000,
    workers: 1,
    holds: (file: string) => file.startsWith("test/system/"),
  },
} as const;

const VALUE_FLAGS = [
  ...["-t", "--test-name-pattern", "--seed", "--timeout", "--retry", "--rerun-each", "--shard"],
  ...["--parallel", "--max-concurrency", "--coverage-reporter", "--coverage-dir"],
];

/** `--seed 5` becomes `--seed=5`, which is what bun takes; everything else without a dash is a filter. */
function parseArguments(args: readonly string[]): { filters: string[]; flags: string[] } {
  const filters: string[] = [];
  const flags: string[] = [];
  for (let i = 0; i < args.length; i += 1) {
    const arg = args[i] ?? "";
    if (!arg.startsWith("-")) filters.push(arg);
    else if (VALUE_FLAGS.includes(arg)) {
      i += 1;
      flags.push(arg === "-t" ? `--test-name-pattern=${args[i] ?? ""}` : `${arg}=${args[i] ?? ""}`);
    } else flags.push(arg);
  }
  return { filters, flags };
}

/** bun keeps its `--seed` to itself; tests that draw their own numbers read it here. */
function seedEnvironment(flags: readonly string[]): Record<string, string> {
  const seed = flags.findLast((flag) => flag.startsWith("--seed="))?.slice("--seed=".length);
  return seed === undefined ? {} : { BRIDGE_SEED: seed };
}

function testFiles(holds: (file: string) => boolean, filters: readonly string[]): string[] {
  return [...new Bun.Glob("test/**/*.test.ts").scanSync({ cwd: PROJECT })]
    .filter(holds)
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
    .sort();
}

function report(outcome: Outcome): void {
  for (const file of outcome.lost)
    console.log(`did not report: ${file} (it did not load, crashed, or holds no test)`);
  for (const test of outcome.skipped) console.log(`could not run: ${test.name} (${test.file})`);
  const cases = outcome.skipped.reduce((sum, test) => sum + lostVectorCases(test.name), 0);
  console.log(`vector cases left out for want of ../shared/vectors: ${cases}`);
  console.log(`${outcome.passed} passed, ${outcome.failed} failed`);
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name !== "unit" && name !== "system") {
    console.error(
      `usage: bun ${relative(process.cwd(), import.meta.path)} unit|system [filter…] [bun test flags…]`,
    );
    return 2;
  }
  const suite = SUITES[name];
  const { filters, flags } = parseArguments(rest);
  const files = testFiles(suite.holds, filters);
  if (files.length === 0) {
    console.error(
      `no ${name} test file ${filters.length === 0 ? "exists" : `matches ${filters.join(" or ")}`}`,
    );
    console.log("0 passed, 1 failed");
    return 1;
  }
  const outcome = await runFiles({
    root: PROJECT,
    files,
    flags: [`--timeout=${suite.timeoutMs}`, `--parallel=${suite.workers}`, ...flags],
    env: { ...process.env, ...vectorsEnvironment(), ...seedEnvironment(flags) },
    failSkips: skipsAreFailures(),
    output: "inherit",
  });
  report(outcome);
  return outcome.failed > 0 || outcome.passed === 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
