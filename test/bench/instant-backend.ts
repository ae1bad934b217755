/**
 * A backend whose machines are entries in a table: creating one takes no time, so what is measured is the provider.
 * A machine ends after a fixed life, or on command.
 */
import { randomSeed } from "../../src/base/ed25519.ts";
import { BridgeError } from "../../src/base/errors.ts";
import type { RegionClass } from "../../src/coalition/classes.ts";
import type {
  Backend,
  BackendOffer,
  Machine,
  MachineOrder,
  Usage,
} from "../../src/fleet/backend.ts";

export interface InstantOptions {
  readonly regionClass: RegionClass;
  readonly machinesMax: number;
  readonly ends: { readonly afterMs: number } | "onCommand";
}

export interface InstantCounts {
  readonly created: number;
  /** Grants that got a second machine, in any try. */
  readonly createdTwice: number;
  readonly machines: number;
  /** The most at one time. */
  readonly peak: number;
}

export interface InstantBackend extends Backend {
  counts(): InstantCounts;
  /** Ends the oldest. */
  end(count: number): void;
}

interface Entry {
  readonly order: MachineOrder;
  readonly machine: Machine;
  readonly createdMs: number;
  readonly over: AbortController;
}

const SHAPE = { cpuMillicores: 1000, ramMib: 1024, storageGib: 8 };
const USAGE: Usage = { cpuCoreMs: 1, ramMibSeconds: 1, netBytes: null, basis: "measured" };
const NAME = "instant";

export function instantBackend(options: InstantOptions): InstantBackend {
  const entries = new Map<string, Entry>();
  const grants = new Map<string, number>();
  let peak = 0;
  const offer: BackendOffer = {
    region: "instant",
    regionClass: options.regionClass,
    zone: "instant",
    shape: SHAPE,
    tee: "none",
    free: 0,
    pricePerHourMicros: 1000,
    imageKinds: ["none"],
  };
  const end = (name: string): void => {
    entries.get(name)?.over.abort();
    entries.delete(name);
  };

  return {
    name: NAME,
    capabilities: async () => [{ ...offer, free: options.machinesMax - entries.size }],
    canSatisfy: () => undefined,
    async provision(order) {
      const present = entries.get(order.name);
      if (present !== undefined) return present.machine;
      if (entries.size >= options.machinesMax) throw new BridgeError("capacity", "all are in use");
      const machine = machineOf(order);
      const over = new AbortController();
      entries.set(order.name, { order, machine, createdMs: Date.now(), over });
      grants.set(order.tags.grantId, (grants.get(order.tags.grantId) ?? 0) + 1);
      peak = Math.max(peak, entries.size);
      if (options.ends !== "onCommand") setTimeout(end, options.ends.afterMs, order.name);
      return machine;
    },
    async watchUntilExit({ name }, _onSample, signal) {
      const over = entries.get(name)?.over.signal;
      if (over !== undefined) await aborted(AbortSignal.any([over, signal]));
      return { cause: "ended", usage: USAGE };
    },
    async terminate({ name }) {
      end(name);
      return "gone";
    },
    list: async () => ({
      machines: [...entries.values()].map(({ order, machine, createdMs }) => ({
        ...{ backend: NAME, name: order.name, tags: order.tags, createdMs, machine },
        state: "running" as const,
      })),
      complete: true,
    }),
    counts: () => ({
      created: [...grants.values()].reduce((sum, times) => sum + times, 0),
      createdTwice: [...grants.values()].filter((times) => times > 1).length,
      machines: entries.size,
      peak,
    }),
    end(count) {
      for (const name of [...entries.keys()].slice(0, count)) end(name);
    },
  };
}

function machineOf({ name }: MachineOrder): Machine {
  return {
    ...{ backend: NAME, name, instanceId: name, host: "192.0.2.1", port: 22, user: "tenant" },
    hostKey: randomSeed(),
    tee: "none",
  };
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
