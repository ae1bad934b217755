/** A coalition of real member processes, and providers and requests against it, by the commands of the binary. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { toHex } from "../../../src/base/bytes.ts";
import { randomSeed } from "../../../src/base/ed25519.ts";
import { eventually } from "../../support/eventually.ts";
import type { Disk } from "./disk.ts";
import { type Ended, PATIENCE_MS, type Running, type Sandbox } from "./processes.ts";

export interface TestCoalition {
  readonly file: string;
  readonly fingerprint: string;
  /** Starts the member of this 1-based index, as often as wanted, and waits until it is up. */
  startMember(index: number): Promise<Running>;
}

export interface CoalitionOptions {
  /** Where, below the sandbox; `coalition` if absent. */
  readonly dir?: string;
  readonly members?: number;
  readonly tickMs?: number;
}

/** Keys and files only; start the members one by one, or all by `startMembers`. */
export async function makeCoalition(
  sandbox: Sandbox,
  program: string,
  { dir = "coalition", members = 3, tickMs = 1000 }: CoalitionOptions = {},
): Promise<TestCoalition> {
  const port = await freePortRange(members);
  const path = join(sandbox.root, dir);
  const size = ["--members", `${members}`, "--threshold", `${Math.floor(members / 2) + 1}`];
  const made = await sandbox.run([
    ...[program, "coalition", "init", "--json", ...size, "--dir", path],
    ...["--port", `${port}`, "--tick-ms", `${tickMs}`],
  ]);
  if (made.exitCode !== 0) throw new Error(made.stderr);
  const { fingerprint } = JSON.parse(made.stdout) as { fingerprint: string };
  return {
    file: join(path, "coalition.toml"),
    fingerprint,
    async startMember(index) {
      const config = join(path, `member-${index}`, "member.toml");
      const member = sandbox.start([program, "coalition", "run", "--config", config]);
      await member.line("member-up");
      return member;
    },
  };
}

export async function startMembers(coalition: TestCoalition, count = 3): Promise<Running[]> {
  const indexes = Array.from({ length: count }, (_, at) => at + 1);
  return await Promise.all(indexes.map((index) => coalition.startMember(index)));
}

export interface TestProvider {
  readonly dir: string;
  readonly config: string;
  readonly stateDir: string;
  /** Starts it and returns at once; `ready` is its line when it serves. */
  start(flags?: readonly string[]): Running;
  startReady(flags?: readonly string[]): Promise<Running>;
  /** A command against the running provider, such as `status`. */
  command(name: string, flags?: readonly string[]): Promise<Ended>;
  /** Of the admin endpoint; waits until it listens. */
  get(path: string): Promise<{ readonly status: number; readonly body: unknown }>;
}

export interface ProviderOptions {
  readonly name?: string;
  readonly stateDir?: string;
  /** Further TOML, before the backend's table. */
  readonly toml?: string;
  /** 64 hex characters; a fresh one if absent. */
  readonly operatorKey?: string;
  readonly dir?: string;
  /** Its state folder is a mount that only it and its machines see. */
  readonly disk?: Disk;
}

/** Writes a provider's folder: configuration, operator key, and whatever `toml` adds. */
export function makeProvider(
  sandbox: Sandbox,
  program: string,
  coalition: TestCoalition,
  options: ProviderOptions = {},
): TestProvider {
  const { name = "provider-1", stateDir = "state", toml = "", disk } = options;
  const dir = join(sandbox.root, options.dir ?? "provider");
  const config = join(dir, "provider.toml");
  mkdirSync(dir, { mode: 0o700, recursive: true });
  const key = options.operatorKey ?? toHex(randomSeed());
  writeFileSync(join(dir, "operator.key"), `${key}\n`, { mode: 0o600 });
  const text = providerToml({ name, stateDir, coalitionFile: coalition.file, toml });
  writeFileSync(config, text);
  const seen = disk?.seen ?? join(dir, stateDir);
  const run = [...(disk?.enter ?? []), program];
  const start: TestProvider["start"] = (flags = []) =>
    sandbox.start([...run, "provider", "--config", config, ...flags]);
  return {
    dir,
    config,
    stateDir: seen,
    start,
    async startReady(flags) {
      const running = start(flags);
      await running.line("ready");
      return running;
    },
    command: (command, flags = []) =>
      sandbox.run([...run, ...command.split(" "), "--config", config, ...flags]),
    async get(path) {
      const response = await eventually(
        `the admin endpoint of ${dir}`,
        () => fetch(new URL(path, readFileSync(join(seen, "admin.url"), "utf8"))).catch(() => null),
        PATIENCE_MS,
      );
      return { status: response.status, body: await response.json() };
    },
  };
}

function providerToml(values: {
  readonly name: string;
  readonly stateDir: string;
  readonly coalitionFile: string;
  readonly toml: string;
}): string {
  return `version = 1

[provider]
name = "${values.name}"
stateDir = "${values.stateDir}"

[operator]
key = "file:operator.key"

[coalition]
file = "${values.coalitionFile}"

[network]
listen = ["/ip4/127.0.0.1/tcp/0"]

[admin]
port = 0

${values.toml}

[backends.local]
kind = "local"
iUnderstandThereIsNoIsolation = true
regionClass = "europe"
pricePerHour = "0.05"
`;
}

/** argv of a request that pins the coalition; `dir` is made below the sandbox. Prints JSON. */
export function requestArguments(
  program: string,
  coalition: TestCoalition,
  dir: string,
  flags: readonly string[] = [],
): string[] {
  const where = ["--coalition", coalition.file, "--pin", coalition.fingerprint, "--out", dir];
  return [program, "request", "--json", ...where, ...flags];
}

/** The first of `count` neighbouring TCP ports that were free on loopback a moment ago. */
export async function freePortRange(count: number): Promise<number> {
  return await eventually(`${count} neighbouring free ports`, async () => {
    const first = await freePort(0);
    if (first === undefined || first + count > 65_536) return undefined;
    for (let port = first + 1; port < first + count; port += 1) {
      if ((await freePort(port)) === undefined) return undefined;
    }
    return first;
  });
}

/** The port, 0 being any, or undefined when it is taken. */
function freePort(wanted: number): Promise<number | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(undefined));
    server.listen(wanted, "127.0.0.1", () => {
      const address = server.address();
      const port = address !== null && typeof address === "object" ? address.port : undefined;
      server.close(() => resolve(port));
    });
  });
}
