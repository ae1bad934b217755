/** Orders, backends and SSH clients for the tests of the local backend. Everything is real. */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, type ClientChannel, type ConnectConfig } from "ssh2";
import type { Bytes32 } from "../../../src/base/bytes.ts";
import { equal, toHex } from "../../../src/base/bytes.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { randomSeed, signingKey } from "../../../src/base/ed25519.ts";
import { codeOf } from "../../../src/base/errors.ts";
import { MINUTE_MS } from "../../../src/base/limits.ts";
import { silentLogger } from "../../../src/base/log.ts";
import { Secret } from "../../../src/base/secret.ts";
import { knownHostsLine, sshBlob, sshPrivateFile } from "../../../src/base/ssh-keys.ts";
import type { Backend, Machine, MachineOrder } from "../../../src/fleet/backend.ts";
import { type LocalOptions, localBackend } from "../../../src/fleet/backends/local/backend.ts";
import { launch, untilReady } from "../../../src/fleet/backends/local/launch.ts";
import {
  allProcesses,
  hasEnded,
  startEnvironment,
} from "../../../src/fleet/backends/local/proc.ts";
import { jobOrder } from "../../../src/fleet/backends/local/provision.ts";
import { createStore } from "../../../src/fleet/backends/local/store.ts";
import { MACHINE_VARIABLE } from "../../../src/fleet/backends/local/tenant.ts";

export const SHAPE = { cpuMillicores: 1000, ramMib: 1024, storageGib: 1 };
export const COMMAND = [process.execPath, join(import.meta.dir, "machine-entry.ts")];
export const NEVER = new AbortController().signal;

const folders: string[] = [];

/** Gone after `cleanUp`. */
export function stateDir(): string {
  const folder = mkdtempSync(join(tmpdir(), "local-backend-"));
  folders.push(folder);
  return folder;
}

/** For `afterAll`: ends every machine under the state directories, by force if need be. */
export async function cleanUp(): Promise<void> {
  for (const folder of folders) {
    await until(() => {
      for (const pid of processesUnder(folder)) kill(pid);
      return processesUnder(folder).length === 0;
    });
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Machine processes (by command line) and tenants' processes (by environment) of any machine in a directory. */
export function processesUnder(folder: string): number[] {
  return allProcesses()
    .filter((process) => !hasEnded(process))
    .map((process) => process.pid)
    .filter(
      (pid) =>
        startEnvironment(pid).some((entry) => entry.startsWith(`${MACHINE_VARIABLE}=${folder}/`)) ||
        commandLine(pid).some((argument) => argument.startsWith(`${folder}/`)),
    );
}

/** The program names of those processes. */
export function namesUnder(folder: string): string[] {
  return processesUnder(folder).map((pid) => (commandLine(pid)[0] ?? "").replace(/^.*\//, ""));
}

export function options(changes: Partial<LocalOptions> = {}): LocalOptions {
  return {
    name: "local",
    stateDir: changes.stateDir ?? stateDir(),
    providerId: "provider-a",
    region: "here",
    regionClass: "europe",
    machinesMax: 4,
    shape: SHAPE,
    pricePerHourMicros: 1000,
    command: COMMAND,
    clock: systemClock,
    log: silentLogger,
    ...changes,
  };
}

export interface Order extends MachineOrder {
  /** What `loginKey` is the public half of. */
  readonly loginSeed: Bytes32;
}

let orders = 0;

export function order(changes: Partial<MachineOrder> = {}): Order {
  orders += 1;
  const name = changes.name ?? `m-${process.pid}-${orders}`;
  const loginSeed = randomSeed();
  const deadlineMs = changes.deadlineMs ?? Date.now() + 10 * MINUTE_MS;
  return {
    name,
    tags: { providerId: "provider-a", grantId: `grant-${name}`, attempt: 0, try: 0, deadlineMs },
    region: "here",
    zone: "here",
    shape: SHAPE,
    tee: "none",
    image: { kind: "none", digest: new Uint8Array(32), pointer: "" },
    egress: { egress: "open", hosts: [] },
    loginKey: signingKey(loginSeed).publicKey,
    bootstrapHostSeed: new Secret(randomSeed()),
    bootstrapLoginSeed: new Secret(randomSeed()),
    deadlineMs,
    ...changes,
    loginSeed,
  };
}

export interface Up {
  readonly backend: Backend;
  readonly order: Order;
  readonly machine: Machine;
  readonly folder: string;
}

export async function bringUp(
  changes: Partial<LocalOptions> = {},
  orderChanges: Partial<MachineOrder> = {},
): Promise<Up> {
  const used = options(changes);
  const backend = localBackend(used);
  const wanted = order(orderChanges);
  const machine = await backend.provision(wanted, NEVER);
  return { backend, order: wanted, machine, folder: join(used.stateDir, wanted.name) };
}

export interface Unclaimed {
  readonly folder: string;
  readonly port: number;
  readonly order: Order;
  readonly bootstrapHostKey: Bytes32;
}

/** A machine that listens and has not been handed over: what a provider leaves that dies at that moment. */
export async function startUnclaimed(
  used: LocalOptions = options(),
  wanted: Order = order(),
): Promise<Unclaimed> {
  const store = createStore(used);
  const stored = store.create({
    v: 1,
    backend: used.name,
    createdMs: Date.now(),
    ports: null,
    order: jobOrder(wanted),
  });
  store.entrust(stored, {
    v: 1,
    bootstrapHostSeed: toHex(wanted.bootstrapHostSeed.reveal()),
  });
  const child = launch(COMMAND, stored.folder);
  const ready = await untilReady(() => store.load(wanted.name), child, systemClock, NEVER);
  return {
    folder: stored.folder,
    port: ready.port,
    order: wanted,
    bootstrapHostKey: signingKey(wanted.bootstrapHostSeed.reveal()).publicKey,
  };
}

/** A connection with the given login seed, pinned to the given host key. Rejects with ssh2's error. */
export function connect(
  machine: Pick<Machine, "port">,
  seed: Uint8Array,
  hostKey: Uint8Array,
  changes: ConnectConfig = {},
  client = new Client(),
): Promise<Client> {
  return new Promise((resolve, reject) => {
    client.on("error", reject);
    client.once("close", () => reject(new Error("closed")));
    client.once("ready", () => resolve(client));
    client.connect({
      host: "127.0.0.1",
      port: machine.port,
      username: "tenant",
      privateKey: sshPrivateFile(seed),
      hostVerifier: (blob: Buffer) => equal(blob, sshBlob(hostKey)),
      ...changes,
    });
  });
}

export function login(up: Pick<Up, "machine" | "order">): Promise<Client> {
  return connect(up.machine, up.order.loginSeed, up.machine.hostKey);
}

export interface Result {
  readonly code: number | null;
  readonly signal: string | undefined;
  readonly output: Buffer;
  readonly errors: Buffer;
  readonly text: string;
}

interface Exit {
  code: number | null;
  signal: string | undefined;
}

/** Recorded from a channel's first moment: its end may arrive in one packet with its beginning. */
const exits = new WeakMap<ClientChannel, Exit>();

export function collect(channel: ClientChannel): Promise<Result> {
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  channel.on("data", (piece: Buffer) => output.push(piece));
  channel.stderr.on("data", (piece: Buffer) => errors.push(piece));
  // ssh2's client says "close" when standard output was read to its end; standard error may still wait.
  const ends = [once(channel, "close"), once(channel, "end"), once(channel.stderr, "end")];
  return Promise.all(ends).then(() => {
    const all = Buffer.concat(output);
    const { code, signal } = exits.get(channel) ?? { code: null, signal: undefined };
    return { code, signal, output: all, errors: Buffer.concat(errors), text: all.toString() };
  });
}

export function recordExit(channel: ClientChannel): ClientChannel {
  channel.on("exit", (code: number | null, signal?: string) =>
    exits.set(channel, { code, signal }),
  );
  return channel;
}

export function open(client: Client, command: string, pty = false): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.exec(command, { pty }, (error, channel) => {
      if (error) return reject(error);
      resolve(recordExit(channel));
    });
  });
}

export async function exec(
  client: Client,
  command: string,
  input: Uint8Array | string = "",
): Promise<Result> {
  const channel = await open(client, command);
  const result = collect(channel);
  channel.end(input);
  return result;
}

/** Logs in, runs one command, logs out. */
export async function run(up: Pick<Up, "machine" | "order">, command: string): Promise<Result> {
  const client = await login(up);
  try {
    return await exec(client, command);
  } finally {
    client.end();
  }
}

/** Polls; the test's own time limit is the only other bound. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(10);
}

/** Files for the real OpenSSH client and its arguments: nothing of the user's own configuration counts. */
export function opensshArguments(
  folder: string,
  machine: Pick<Machine, "port">,
  seed: Uint8Array,
  hostKey: Uint8Array,
  logLevel = "ERROR",
): string[] {
  const identity = join(folder, `id-${machine.port}`);
  const knownHosts = join(folder, `known-hosts-${machine.port}`);
  writeFileSync(identity, sshPrivateFile(seed), { mode: 0o600 });
  writeFileSync(knownHosts, knownHostsLine("127.0.0.1", machine.port, hostKey));
  const settings = [
    "StrictHostKeyChecking=yes",
    `UserKnownHostsFile=${knownHosts}`,
    "GlobalKnownHostsFile=/dev/null",
    "IdentitiesOnly=yes",
    "BatchMode=yes",
    `LogLevel=${logLevel}`,
  ];
  return [
    ...["-F", "/dev/null", "-i", identity, "-p", String(machine.port)],
    ...settings.flatMap((setting) => ["-o", setting]),
  ];
}

export function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it ended by itself
  }
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
  } catch {
    return [];
  }
}

/** The code of what a call throws. */
export function code(result: Promise<unknown>): Promise<string> {
  return result.then(
    () => "no error",
    (error: unknown) => codeOf(error),
  );
}

export function pidOf(up: Pick<Up, "machine">): number {
  return Number(up.machine.instanceId.split("-")[0]);
}
