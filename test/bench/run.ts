/**
 * bun test/bench/run.ts [MEASURE…] [--json FILE]
 *
 * Speed, measured on real parts: what is timed runs in a process of its own, load and members in others. Lines for
 * people go to stderr while it runs; at the end one JSON object goes to stdout, and to FILE. Exit 1 when a measure could
 * not run or something was lost; a missed target is reported and is no failure.
 */
import { writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { build } from "../../src/base/build.ts";
import { explain } from "../../src/base/errors.ts";
import { convergence } from "./convergence.ts";
import { journalSize } from "./journal-size.ts";
import { latency } from "./latency.ts";
import { type Findings, type Measure, showFindings } from "./measure.ts";
import { start } from "./start.ts";
import { rounded } from "./statistics.ts";
import { thousand } from "./thousand.ts";

const MEASURES: readonly Measure[] = [latency, thousand, convergence, start, journalSize];

interface Outcome {
  readonly title: string;
  readonly seconds: number;
  /** Processes that wanted a processor (getloadavg(3), one minute), before and after. */
  readonly load: readonly [number, number];
  readonly error?: string;
  readonly findings?: Findings;
}

function machineFacts(): object {
  const processors = cpus();
  return {
    cpus: processors.length,
    cpu: processors[0]?.model ?? "unknown",
    memoryMib: Math.round(totalmem() / 2 ** 20),
    ...{ platform: process.platform, arch: process.arch, bun: Bun.version, version: build.version },
  };
}

function loadNow(): number {
  return rounded(loadavg()[0] ?? Number.NaN);
}

async function runOne(measure: Measure): Promise<Outcome> {
  const { title } = measure;
  const say = (line: string): void => console.error(`  ${line}`);
  console.error(`${measure.name}: ${title}`);
  const startMs = performance.now();
  const loadBefore = loadNow();
  const taken = () => ({
    title,
    seconds: rounded((performance.now() - startMs) / 1000, 1),
    load: [loadBefore, loadNow()] as const,
  });
  try {
    const findings = await measure.run(say);
    for (const line of showFindings(findings)) console.error(line);
    const outcome = { ...taken(), findings };
    console.error(`  ${outcome.seconds} s, load average ${outcome.load.join(" to ")}`);
    return outcome;
  } catch (error) {
    console.error(`  FAILED: ${explain(error)}`);
    return { ...taken(), error: explain(error) };
  }
}

function help(): string {
  const width = Math.max(...MEASURES.map(({ name }) => name.length));
  return [
    "bun run bench [MEASURE…] [--json FILE]",
    "",
    "Without a name every measure runs. Lines for people go to stderr; one JSON object goes to stdout at the end, and",
    "to FILE. Exit codes: 0 measured (a missed target is reported, and no failure), 1 a measure could not run or",
    "something was lost, 2 usage.",
    "",
    ...MEASURES.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`),
    "",
  ].join("\n");
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { json: { type: "string" }, help: { type: "boolean", short: "h" } },
    allowPositionals: true,
  });
  if (values.help === true) {
    process.stdout.write(help());
    return 0;
  }
  const unknown = positionals.filter((name) => !MEASURES.some((one) => one.name === name));
  if (unknown.length > 0) {
    const names = MEASURES.map((one) => one.name).join(", ");
    console.error(`there is no measure ${unknown.join(", ")}; there are ${names}`);
    return 2;
  }
  const chosen = MEASURES.filter(
    ({ name }) => positionals.length === 0 || positionals.includes(name),
  );
  const measures: Record<string, Outcome> = {};
  for (const measure of chosen) measures[measure.name] = await runOne(measure);
  const text = `${JSON.stringify({ machine: machineFacts(), measures }, null, 2)}\n`;
  if (values.json !== undefined) writeFileSync(values.json, text);
  process.stdout.write(text);
  const failed = Object.values(measures).some(
    ({ findings }) => findings === undefined || findings.broken.length > 0,
  );
  return failed ? 1 : 0;
}

process.exitCode = await main();
