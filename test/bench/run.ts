/**
 * bun test/bench/run.ts [measure…] [--json FILE]
 *
 * Speed, measured on real parts: what is timed runs in a process of its own, load and members in others. Lines for
 * people go to stderr while it runs; at the end one JSON object goes to stdout, and to FILE. Exit 1 when a measure could
 * not run or something was lost; a missed target is reported and is no failure.
 */
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { build } from "../../src/base/build.ts";
import { explain } from "../../src/base/errors.ts";
import { latency } from "./latency.ts";
import { type Findings, type Measure, showFindings } from "./measure.ts";
import { thousand } from "./thousand.ts";

const MEASURES: readonly Measure[] = [latency, thousand];

interface Outcome {
  readonly title: string;
  readonly seconds: number;
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

async function runOne(measure: Measure): Promise<Outcome> {
  const { title } = measure;
  const say = (line: string): void => console.error(`  ${line}`);
  console.error(`${measure.name}: ${title}`);
  const startMs = performance.now();
  const seconds = (): number => Math.round((performance.now() - startMs) / 100) / 10;
  try {
    const findings = await measure.run(say);
    for (const line of showFindings(findings)) console.error(line);
    return { title, seconds: seconds(), findings };
  } catch (error) {
    console.error(`  FAILED: ${explain(error)}`);
    return { title, seconds: seconds(), error: explain(error) };
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { json: { type: "string" } },
    allowPositionals: true,
  });
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
