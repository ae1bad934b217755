/**
 * bun test/sim/run.ts [--seed N] [--runs M] [--members 3|4] [--cells] [--calm] [--verbose] [--json]
 *
 * Runs seeds of the simulated world, or every cell of cells.ts, and prints what happened in them. A breach is printed with
 * its seed and the trace of its events. Exit 0 when nothing was breached, 1 when something was, 2 for wrong usage.
 */
import { parseArgs } from "node:util";
import { type Cell, cellName, cellsOf, runCell } from "./cells.ts";
import type { Counts } from "./observer.ts";
import { type SimResult, simulate } from "./simulate.ts";

const HELP = `bun test/sim/run.ts [options]

Simulates a coalition from seeds: real members, real providers and requesters on one virtual clock, with crashes,
partitions, lost messages, full disks, clocks that jump and clouds that fail; checks at every step that nothing is broken.

  --seed N       the first seed (1)
  --runs M       how many seeds, one after the other (50)
  --members 3|4  3 members of which 2 decide (3), or 4 of which 3 decide and one lies
  --cells        instead of seeds: every partition around one release, see test/sim/cells.ts
  --calm         without faults: then every request must be served
  --verbose      with the program's own log lines in the traces
  --json         one JSON object instead of a table
  --help         this text

Exit codes: 0 nothing breached, 1 something breached, 2 wrong usage.
`;

interface Settings {
  readonly seed: number;
  readonly runs: number;
  readonly members: 3 | 4;
  readonly cells: boolean;
  readonly calm: boolean;
  readonly verbose: boolean;
  readonly json: boolean;
}

interface Run {
  readonly name: string;
  readonly seed: number;
  readonly counts: Readonly<Counts>;
  readonly breaches: readonly string[];
  readonly trace: readonly string[];
}

/** A message instead of settings when the arguments are wrong. */
function settingsOf(args: readonly string[]): Settings | "help" | { readonly wrong: string } {
  const flag = { type: "boolean", default: false } as const;
  const text = { type: "string" } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      strict: true,
      options: {
        ...{ seed: text, runs: text, members: text },
        ...{ cells: flag, calm: flag, verbose: flag, json: flag, help: flag },
      },
    });
    if (values.help) return "help";
    const { cells, calm, verbose, json } = values;
    const members = wholeNumber("members", values.members ?? "3", 3, 4) === 3 ? 3 : 4;
    const seed = wholeNumber("seed", values.seed ?? "1", 1, 2 ** 31);
    const runs = wholeNumber("runs", values.runs ?? "50", 1, 1_000_000);
    if (cells && (calm || values.runs !== undefined))
      throw new Error("--cells goes with neither --runs nor --calm");
    return { seed, runs, members, cells, calm, verbose, json };
  } catch (error) {
    return { wrong: error instanceof Error ? error.message : String(error) };
  }
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new Error(`--${name} ${text} is not a whole number from ${least} to ${most}`);
}

async function* runsOf(settings: Settings): AsyncGenerator<Run> {
  const { seed, runs, members, verbose } = settings;
  const sabotage = members === 4 ? ({ sabotage: "byzantine" } as const) : {};
  if (settings.cells) {
    const ofCell = (cell: Cell): Promise<SimResult> => runCell(cell, { seed, members, verbose });
    for (const cell of cellsOf(members)) yield { name: cellName(cell), ...(await ofCell(cell)) };
    return;
  }
  for (let next = seed; next < seed + runs; next += 1) {
    const result = await simulate({
      seed: next,
      members,
      faults: !settings.calm,
      verbose,
      ...sabotage,
    });
    yield { name: `seed ${next}`, ...result };
  }
}

/** Sums over all runs; of a maximum the largest. */
function sumUp(into: Counts, from: Readonly<Counts>): void {
  for (const name of Object.keys(from) as (keyof Counts)[]) {
    into[name] = name.endsWith("Max") ? Math.max(into[name], from[name]) : into[name] + from[name];
  }
}

const TITLES: Readonly<Record<keyof Counts, string>> = {
  requests: "requests",
  grants: "grants",
  attemptsMax: "highest attempt",
  crashes: "crashes",
  partitions: "partitions",
  faults: "other faults",
  machines: "machines",
  machinesPerRequestMax: "max machines per request",
  receipts: "receipts",
  logs: "final logs",
  refusals: "refusals",
};

function table(runs: number, total: Counts, breaches: number): string {
  const rows: readonly (readonly [string, number])[] = [
    ["runs", runs],
    ...(Object.keys(TITLES) as (keyof Counts)[]).map(
      (name) => [TITLES[name], total[name]] as const,
    ),
    ["breaches", breaches],
  ];
  const width = Math.max(...rows.map(([title]) => title.length));
  return rows
    .map(([title, value]) => `${title.padEnd(width)}  ${String(value).padStart(8)}`)
    .join("\n");
}

async function main(args: readonly string[]): Promise<number> {
  const settings = settingsOf(args);
  if (settings === "help") {
    process.stdout.write(HELP);
    return 0;
  }
  if ("wrong" in settings) {
    console.error(`${settings.wrong}\nsee bun test/sim/run.ts --help`);
    return 2;
  }
  const total = noCounts();
  const breached: Run[] = [];
  let runs = 0;
  for await (const run of runsOf(settings)) {
    runs += 1;
    sumUp(total, run.counts);
    if (run.breaches.length > 0) breached.push(run);
    if (settings.json) continue;
    if (settings.cells) console.log(`${run.breaches.length === 0 ? "ok" : "BREACH"}  ${run.name}`);
    if (run.breaches.length > 0) console.log(explain(run));
  }
  if (settings.json) {
    const failed = breached.map(({ name, seed, breaches, trace }) => ({
      ...{ name, seed, breaches, trace },
    }));
    console.log(JSON.stringify({ ...settings, done: runs, total, breached: failed }, null, 2));
  } else console.log(table(runs, total, breached.length));
  return breached.length > 0 ? 1 : 0;
}

function noCounts(): Counts {
  return Object.fromEntries(Object.keys(TITLES).map((name) => [name, 0])) as unknown as Counts;
}

function explain({ name, breaches, trace }: Run): string {
  return [
    `${name}: ${breaches.length} breaches`,
    ...breaches.map((breach) => `  ${breach}`),
    "what happened, in seconds:",
    ...trace.map((line) => `  ${line}`),
  ].join("\n");
}

process.exitCode = await main(process.argv.slice(2));
