/**
 * Runs test files with `bun test` and counts from its JUnit report. A file that never reached the report (it did
 * not load, or its process died) counts as one failure: `bun test` leaves such files out of the report.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";
import { parseReport, type ReportedTest } from "./junit.ts";

export interface Run {
  /** Where `bun test` starts; `files` are relative to it. */
  readonly root: string;
  readonly files: readonly string[];
  /** Further arguments for `bun test`. */
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A skipped test counts as a failed one. */
  readonly failSkips: boolean;
  /** Where bun's own output goes. */
  readonly output: "inherit" | "ignore";
}

export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly ReportedTest[];
  /** Files that were asked for and never reported. */
  readonly lost: readonly string[];
}

/** Names a folder that lasts as long as the run, for what its files share. */
export const RUN_FOLDER = "BRIDGE_RUN_FOLDER";

/** Flags under which a file may rightly report nothing. */
const SELECTING = ["-t", "--test-name-pattern", "--shard", "--bail", "--changed", "--only"];

export async function runFiles(run: Run): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "compute-bridge-test-"));
  const report = join(folder, "junit.xml");
  try {
    const child = Bun.spawn(
      [
        process.execPath,
        "test",
        ...["--reporter=junit", `--reporter-outfile=${report}`],
        ...run.flags,
        ...run.files.map((file) => `./${file}`),
      ],
      {
        cwd: run.root,
        env: { ...run.env, [RUN_FOLDER]: folder },
        stdin: "ignore",
        stdout: run.output,
        stderr: run.output,
      },
    );
    const exitCode = await child.exited;
    const tests = existsSync(report) ? parseReport(readFileSync(report, "utf8")) : [];
    return count(run, tests, exitCode);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function count(run: Run, tests: readonly ReportedTest[], exitCode: number): Outcome {
  const selective = run.flags.some((flag) => SELECTING.includes(flag.split("=")[0] ?? ""));
  const reported = new Set(tests.map((test) => normalize(test.file)));
  const lost = selective ? [] : run.files.filter((file) => !reported.has(normalize(file)));
  const skipped = tests.filter((test) => test.outcome === "skipped");
  const failures = tests.filter((test) => test.outcome === "failed").length + lost.length;
  const failed = failures + (run.failSkips ? skipped.length : 0);
  return {
    passed: tests.filter((test) => test.outcome === "passed").length,
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped,
    lost,
  };
}
