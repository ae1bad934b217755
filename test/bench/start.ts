/**
 * From the start of a provider's process to its log line `ready`: the coalition is reached, its records are here, and
 * the first card is out. The program is started as the README starts it, with the members running.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "../../src/base/bytes.ts";
import { randomSeed } from "../../src/base/ed25519.ts";
import { atMost, type Findings, type Measure } from "./measure.ts";
import { cpuMsOf } from "./process-figures.ts";
import { median, rounded } from "./statistics.ts";
import { inWorld, type World } from "./world.ts";

const TIMES = 7;
const WITHIN_MS = 1000;
const GIVE_UP_MS = 30_000;
const ROOT = join(import.meta.dir, "..", "..");
const SOURCE = [process.execPath, join(ROOT, "src", "main.ts")];
const BINARY = join(ROOT, "dist", "compute-bridge-dev");

interface Start {
  readonly readyMs: number;
  readonly cpuMs: number;
}

export const start: Measure = {
  name: "start",
  title: "a provider's start to ready",
  run: (say) => inWorld((world) => measure(world, say)),
};

async function measure(world: World, say: (line: string) => void): Promise<Findings> {
  const programs: Record<string, readonly string[]> = { source: SOURCE };
  if (existsSync(BINARY)) programs.binary = [BINARY];
  else say("there is no dist/compute-bridge-dev (bun run build): only the source is timed");
  const config = writeProvider(world);
  const starts: Record<string, Start[]> = {};
  for (let i = 0; i < TIMES; i += 1) {
    for (const [name, command] of Object.entries(programs)) {
      const one = await startOnce([...command, "provider", "--config", config]);
      starts[name] = [...(starts[name] ?? []), one];
    }
  }
  const figures: Record<string, number> = { starts: TIMES };
  const targets = Object.entries(starts).map(([name, list]) => {
    const ready = list.map(({ readyMs }) => readyMs);
    const figure = `${name}MedianMs`;
    figures[figure] = rounded(median(ready), 0);
    figures[`${name}MaxMs`] = rounded(Math.max(...ready), 0);
    figures[`${name}CpuMs`] = rounded(median(list.map(({ cpuMs }) => cpuMs)), 0);
    return atMost(figure, median(ready), WITHIN_MS);
  });
  return { figures, targets, broken: [] };
}

/** As in the README. Returns the configuration's path. */
function writeProvider(world: World): string {
  const folder = world.folder("provider");
  mkdirSync(join(folder, "state"), { mode: 0o700 });
  writeFileSync(join(folder, "operator.key"), `${toHex(randomSeed())}\n`, { mode: 0o600 });
  const file = join(folder, "provider.toml");
  const lines = [
    "version = 1",
    "[provider]",
    'name = "start"',
    'stateDir = "state"',
    "[operator]",
    'key = "file:operator.key"',
    "[coalition]",
    `file = ${JSON.stringify(world.coalitionFile)}`,
    "[network]",
    'listen = ["/ip4/127.0.0.1/tcp/0"]',
    "[backends.local]",
    'kind = "local"',
    "iUnderstandThereIsNoIsolation = true",
    'regionClass = "europe"',
    'pricePerHour = "0.05"',
    "",
  ];
  writeFileSync(file, lines.join("\n"));
  return file;
}

/** Ended by SIGKILL, as soon as it is ready: the next start finds what a crash leaves behind. */
async function startOnce(command: readonly string[]): Promise<Start> {
  const startMs = performance.now();
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const giveUp = setTimeout(() => child.kill("SIGKILL"), GIVE_UP_MS);
  let said = "";
  try {
    const decoder = new TextDecoder();
    for await (const bytes of child.stderr) {
      said += decoder.decode(bytes, { stream: true });
      if (said.includes('"event":"ready"'))
        return { readyMs: performance.now() - startMs, cpuMs: cpuMsOf(child.pid) };
    }
    throw new Error(`the provider did not become ready:\n${said}`);
  } finally {
    clearTimeout(giveUp);
    child.kill("SIGKILL");
    await child.exited;
  }
}
