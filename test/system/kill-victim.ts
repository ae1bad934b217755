/**
 * A provider that is killed and started again, as often as wanted. Its log goes to a file that is read in a tight loop:
 * what a grant's line says is on disk already, and some states last less than a millisecond.
 */
import { Database } from "bun:sqlite";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { toHex } from "../../src/base/bytes.ts";
import { signingKey } from "../../src/base/ed25519.ts";
import type { RegionClass } from "../../src/coalition/classes.ts";
import { providerId } from "../../src/coalition/ids.ts";
import type { GrantStateName } from "../../src/ledger/state.ts";
import { seedNamed } from "../support/coalition.ts";
import { eventually } from "../support/eventually.ts";
import { PATIENCE_MS } from "./support/processes.ts";

export const BACKENDS = ["first", "second"] as const;
const LOOK_MS = 1;
const START_MS = 3 * PATIENCE_MS; // all lanes start at once, beside whatever else the machine does
const STEP_MS = 0.15; // shorter than the way from one transition to the next
const REST_MS = 1; // for those the provider talks to
const STEPPING_MS_MAX = 5000;
const TAIL_CHARS = 3000;
const READ_BYTES = 64 * 1024;

export interface Victim {
  readonly name: string;
  /** In hex. */
  readonly id: string;
  readonly machinesDir: string;
  pid(): number;
  /** Starts it and waits until it serves. */
  start(): Promise<void>;
  /** How many states it has reported since it was last started; a place to look from. */
  mark(): number;
  /** Whether a grant has entered this state, seen from `mark` on; 0 is its last start. */
  saw(state: GrantStateName, mark: number): boolean;
  /** Resolves when a grant has entered this state, seen from `mark` on. */
  reached(state: GrantStateName, mark: number): Promise<void>;
  /**
   * As `reached`, for a state that is about to come and lasts for less than a millisecond: the provider goes on in tiny
   * steps and is left standing. The state may be missed all the same.
   */
  catchNext(state: GrantStateName, mark: number): void;
  /** SIGKILL, and wait for its end. */
  kill(): Promise<void>;
  /** What the journal of the dead provider says of its grants, by their key. */
  onDisk(): Map<string, GrantStateName>;
  loseJournal(): void;
  /** How many grants the running provider still has something to do for. */
  live(): Promise<number>;
  /** SIGTERM, and its exit code. */
  drain(): Promise<number | null>;
  /** The end of its log. */
  tail(): string;
}

export interface VictimOptions {
  readonly root: string;
  readonly name: string;
  readonly program: string;
  readonly coalitionFile: string;
  readonly regionClass: RegionClass;
}

/** One process of the provider, and what has been read of its log. */
interface Incarnation {
  readonly child: Bun.Subprocess;
  readonly log: number;
  offset: number;
  text: string;
  readonly states: string[];
  ready: boolean;
}

export function makeVictim(options: VictimOptions): Victim {
  const { name, root } = options;
  const dir = join(root, name);
  const seed = seedNamed(`operator of ${name}`);
  mkdirSync(dir, { mode: 0o700 });
  writeFileSync(join(dir, "operator.key"), `${toHex(seed)}\n`, { mode: 0o600 });
  writeFileSync(join(dir, "provider.toml"), configuration(options));
  const stateDir = join(dir, "state");
  let now: Incarnation | undefined;
  let started = 0;

  const current = (): Incarnation => {
    if (now === undefined) throw new Error(`${name} has not been started`);
    pump(now);
    return now;
  };
  const saw = (state: GrantStateName, mark: number): boolean =>
    current().states.indexOf(state, mark) >= 0;
  const tail = (): string => current().text.slice(-TAIL_CHARS);
  return {
    name,
    id: toHex(providerId(signingKey(seed).publicKey, name)),
    machinesDir: join(stateDir, "machines"),
    pid: () => current().child.pid,
    async start() {
      if (now !== undefined) closeSync(now.log);
      started += 1;
      now = spawn(options.program, dir, join(dir, `log-${started}`));
      await eventually(`${name} serves`, () => isReady(current(), name), START_MS);
    },
    mark: () => current().states.length,
    saw,
    async reached(state, mark) {
      const endMs = performance.now() + START_MS;
      while (!saw(state, mark)) {
        if (hasEnded(current()) || performance.now() > endMs)
          throw new Error(`${name} did not get a grant ${state}\n${tail()}`);
        await Bun.sleep(LOOK_MS);
      }
    },
    catchNext(state, mark) {
      const { pid } = current().child;
      const endMs = performance.now() + STEPPING_MS_MAX;
      while (!saw(state, mark) && performance.now() < endMs) {
        process.kill(pid, "SIGCONT");
        spin(STEP_MS);
        process.kill(pid, "SIGSTOP");
        if (!saw(state, mark)) Bun.sleepSync(REST_MS);
      }
    },
    kill: async () => void (await end(current(), "SIGKILL")),
    onDisk: () => journalStates(stateDir, root),
    loseJournal() {
      for (const end of ["", "-wal", "-shm"])
        rmSync(join(stateDir, `journal.db${end}`), { force: true });
    },
    live: () => liveGrants(stateDir),
    drain: () => end(current(), "SIGTERM"),
    tail,
  };
}

function spawn(program: string, dir: string, path: string): Incarnation {
  const write = openSync(path, "a", 0o600);
  const child = Bun.spawn([program, "provider", "--config", "provider.toml"], {
    cwd: dir,
    stdio: ["ignore", "ignore", write],
  });
  closeSync(write);
  return { child, log: openSync(path, "r"), offset: 0, text: "", states: [], ready: false };
}

function hasEnded({ child }: Incarnation): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function isReady(incarnation: Incarnation, name: string): boolean {
  if (hasEnded(incarnation))
    throw new Error(`${name} ended instead of serving\n${incarnation.text.slice(-TAIL_CHARS)}`);
  return incarnation.ready;
}

/** Its exit code, null after SIGKILL. */
async function end({ child }: Incarnation, signal: NodeJS.Signals): Promise<number | null> {
  child.kill(signal);
  await child.exited;
  return child.signalCode === null ? child.exitCode : null;
}

/** As the provider shows its operator: grants for which something is left to do, whatever their state. */
async function liveGrants(stateDir: string): Promise<number> {
  const url = new URL("/api/v1/snapshot", readFileSync(join(stateDir, "admin.url"), "utf8"));
  const snapshot = (await (await fetch(url)).json()) as {
    readonly grants: { readonly byState: Readonly<Record<GrantStateName, number>> };
  };
  return Object.values(snapshot.grants.byState).reduce((sum, count) => sum + count, 0);
}

function spin(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) {}
}

/** Takes in what has been written to the log since the last time. */
function pump(incarnation: Incarnation): void {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (;;) {
    const size = readSync(incarnation.log, buffer, 0, READ_BYTES, incarnation.offset);
    if (size === 0) return;
    // Only whole lines; the rest is read again.
    const whole = buffer.subarray(0, size).lastIndexOf("\n") + 1;
    if (whole === 0) return;
    incarnation.offset += whole;
    const text = buffer.toString("utf8", 0, whole);
    incarnation.text += text;
    for (const line of text.split("\n")) {
      const fields = parse(line);
      if (fields.event === "ready") incarnation.ready = true;
      if (typeof fields.grant === "string" && typeof fields.state === "string") {
        incarnation.states.push(fields.state);
      }
    }
  }
}

function parse(line: string): Record<string, unknown> {
  if (!line.startsWith("{")) return {};
  return JSON.parse(line) as Record<string, unknown>;
}

/** Read from a copy: what SQLite would write beside the journal of a dead provider is not ours to write. */
function journalStates(stateDir: string, root: string): Map<string, GrantStateName> {
  const copy = mkdtempSync(join(root, "journal-"));
  for (const name of ["journal.db", "journal.db-wal"]) {
    if (existsSync(join(stateDir, name))) copyFileSync(join(stateDir, name), join(copy, name));
  }
  const db = new Database(join(copy, "journal.db"));
  try {
    const rows = db.query<{ key: string; state: GrantStateName }, []>(
      "SELECT key, state FROM grants",
    );
    return new Map(rows.all().map(({ key, state }) => [key, state]));
  } finally {
    db.close();
    rmSync(copy, { recursive: true });
  }
}

function configuration({ name, coalitionFile, regionClass }: VictimOptions): string {
  const backends = BACKENDS.map(
    (backend) => `
[backends.${backend}]
kind = "local"
iUnderstandThereIsNoIsolation = true
region = "${backend}"
regionClass = "${regionClass}"
machinesMax = 8
pricePerHour = "0.05"
`,
  );
  return `version = 1

[provider]
name = "${name}"
stateDir = "state"

[operator]
key = "file:operator.key"

[coalition]
file = "${coalitionFile}"

[network]
listen = ["/ip4/127.0.0.1/tcp/0"]

[admin]
port = 0
${backends.join("")}`;
}
