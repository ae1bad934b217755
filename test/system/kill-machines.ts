/**
 * The backend as it lists itself, watched for as long as the matrix runs, and every process that works in a provider's
 * folder. Nobody but the provider may start machines, and none of it may be there when a row is over.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import type { Backend, ListedMachine } from "../../src/fleet/backend.ts";
import { localBackend } from "../../src/fleet/backends/local/backend.ts";
import { isAlive, type ProcessIdentity } from "../../src/fleet/backends/local/proc.ts";
import { FILES, readRecord } from "../../src/fleet/backends/local/records.ts";
import { eventually } from "../support/eventually.ts";
import { BACKENDS, type Victim } from "./kill-victim.ts";
import { PATIENCE_MS } from "./support/processes.ts";

const LOOK_MS = 100; // a second machine would be there for longer: ending one takes twice 250 ms

export interface Sighting {
  /** `backend/name` of every machine ever listed for the grant. */
  readonly machines: ReadonlySet<string>;
  /** The largest number of them that were listed at the same time. */
  readonly mostAtOnce: number;
  /** Grants (ids) that had a machine listed at the same time as this one. */
  readonly beside: ReadonlySet<string>;
}

export interface MachineWatch {
  watch(victim: Victim): void;
  /** Of one grant, id in hex. */
  sighting(grant: string): Sighting;
  /** Machines of the grants that are listed now, as `backend/name state`. */
  living(victim: Victim, grants: readonly string[]): Promise<string[]>;
  stop(): Promise<void>;
}

export function watchMachines(): MachineWatch {
  const watched = new Map<string, readonly Backend[]>();
  const machines = new Map<string, Set<string>>();
  const most = new Map<string, number>();
  const beside = new Map<string, Set<string>>();
  let running = true;
  const list = async (id: string): Promise<ListedMachine[]> => {
    const signal = new AbortController().signal;
    const backends = watched.get(id) ?? [];
    return (await Promise.all(backends.map((one) => one.list(signal)))).flatMap(
      (one) => one.machines,
    );
  };
  const look = async (): Promise<void> => {
    const atOnce = new Map<string, number>();
    for (const id of watched.keys()) {
      for (const { backend, name, tags } of await list(id)) {
        const known = machines.get(tags.grantId) ?? new Set<string>();
        machines.set(tags.grantId, known.add(`${backend}/${name}`));
        atOnce.set(tags.grantId, (atOnce.get(tags.grantId) ?? 0) + 1);
      }
    }
    for (const [grant, count] of atOnce) {
      most.set(grant, Math.max(count, most.get(grant) ?? 0));
      const known = beside.get(grant) ?? new Set<string>();
      for (const other of atOnce.keys()) if (other !== grant) known.add(other);
      beside.set(grant, known);
    }
  };
  const loop = (async () => {
    while (running) {
      await look();
      await Bun.sleep(LOOK_MS);
    }
  })();
  return {
    watch(victim) {
      watched.set(
        victim.id,
        BACKENDS.map((name) => backendOf(victim, name)),
      );
    },
    sighting: (grant) => ({
      machines: machines.get(grant) ?? new Set(),
      mostAtOnce: most.get(grant) ?? 0,
      beside: beside.get(grant) ?? new Set(),
    }),
    async living(victim, grants) {
      const left = (await list(victim.id)).filter(({ tags }) => grants.includes(tags.grantId));
      return left.map(({ backend, name, state }) => `${backend}/${name} ${state}`);
    },
    async stop() {
      running = false;
      await loop;
    },
  };
}

/** A reader of the provider's machines: it never orders one, so its offer does not matter. */
function backendOf(victim: Victim, name: string): Backend {
  return localBackend({
    name,
    stateDir: victim.machinesDir,
    providerId: victim.id,
    region: name,
    regionClass: "europe",
    machinesMax: 1,
    shape: { cpuMillicores: 1, ramMib: 1, storageGib: 0 },
    pricePerHourMicros: 0,
    command: ["/nonexistent"],
    clock: systemClock,
    log: silentLogger,
  });
}

/** The process of every machine that was ever started, the dead ones too. */
export function machineProcesses(victim: Victim): ProcessIdentity[] {
  if (!existsSync(victim.machinesDir)) return [];
  return readdirSync(victim.machinesDir).flatMap((name) => {
    const identity = readRecord(join(victim.machinesDir, name), FILES.process);
    return identity === undefined ? [] : [identity as ProcessIdentity];
  });
}

/** SIGKILL. False when it has ended before: its pid may be somebody else's by now. */
export function killMachine(machine: ProcessIdentity): boolean {
  if (!isAlive(machine)) return false;
  process.kill(machine.pid, "SIGKILL");
  return true;
}

/** Resolves with the machine process that comes after those of `before`. */
export async function nextMachine(
  victims: readonly Victim[],
  before: readonly ProcessIdentity[],
): Promise<ProcessIdentity & { readonly home: Victim }> {
  const old = new Set(before.map(({ pid, startTicks }) => `${pid} ${startTicks}`));
  const look = () => {
    for (const home of victims) {
      const found = machineProcesses(home).find((one) => !old.has(`${one.pid} ${one.startTicks}`));
      if (found !== undefined) return { ...found, home };
    }
    return undefined;
  };
  return await eventually("another machine has a process", look, PATIENCE_MS);
}

/** Every process that works in the folder, names it in its arguments or started with it in its environment. */
export function processesIn(folder: string): { pid: number; command: string }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      const command = look(() => readFileSync(`/proc/${name}/cmdline`, "utf8"));
      const environment = look(() => readFileSync(`/proc/${name}/environ`, "utf8"));
      const cwd = look(() => readlinkSync(`/proc/${name}/cwd`));
      const inside = `${cwd}/`.startsWith(`${folder}/`);
      return inside || command.includes(`${folder}/`) || environment.includes(`${folder}/`)
        ? [{ pid: Number(name), command: command.replaceAll("\0", " ").trim() }]
        : [];
    });
}

/** Empty for a process that has ended meanwhile. */
function look(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
