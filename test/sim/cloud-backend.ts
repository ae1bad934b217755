/**
 * The provider's side of the simulated cloud, as a backend is asked to be (src/fleet/backend.ts): calls take time and get
 * lost, an outcome nobody knows is said to be unknown, and `gone` is only said when no call of ours can still create.
 */
import { must } from "../../src/base/assert.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { SECOND_MS } from "../../src/base/limits.ts";
import type {
  Backend,
  BackendOffer,
  MachineExit,
  MachineOrder,
  Usage,
} from "../../src/fleet/backend.ts";
import type { FakeClock } from "../support/fake-clock.ts";
import { type Cloud, type CloudMachine, type EndedBy, machineOf } from "./cloud.ts";
import type { ProcessClock } from "./process-clock.ts";
import type { Dice } from "./random.ts";

const CALL_MS_MAX = 10 * SECOND_MS;
const POLL_MS = SECOND_MS;
const SAMPLE_MS = 5 * SECOND_MS;

export const SIM_PRICE_MICROS = 3_600_000; // one millionth per millisecond

export interface Wire {
  readonly cloud: Cloud;
  readonly world: FakeClock;
  /** The process that calls: once it has ended no answer reaches it, but what it has sent may still arrive. */
  readonly process: ProcessClock;
  readonly dice: Dice;
}

export function cloudBackend(wire: Wire): Backend {
  const { cloud, process } = wire;
  /** Create calls under way, by name: `gone` must not be said while one may still arrive. */
  const creating = new Map<string, Promise<unknown>>();

  async function create(order: MachineOrder): Promise<CloudMachine> {
    const machine = await call(wire, () => {
      if (wire.dice.chance(cloud.faults.throttle)) throw new BridgeError("throttle", "slow down");
      return cloud.create(order);
    });
    if (machine === undefined) throw new BridgeError("capacity", "no capacity");
    return machine;
  }

  return {
    name: cloud.account,
    capabilities: async () => [await call(wire, () => offerOf(cloud))],
    canSatisfy: () => undefined,
    async provision(order, signal) {
      const created = create(order);
      creating.set(
        order.name,
        created.catch(() => {}),
      );
      const machine = await created;
      while (!signal.aborted) {
        if (machine.state === "running") return machineOf(machine);
        if (machine.state !== "starting") throw new BridgeError("machine-ended", "it did not stay");
        await process.sleep(POLL_MS, signal);
      }
      throw new BridgeError("unknown-outcome", "given up");
    },
    async terminate({ name }) {
      await creating.get(name);
      creating.delete(name);
      return await call(wire, () => {
        const machine = cloud.find(name);
        if (machine === undefined || machine.state === "gone") return "gone";
        cloud.end(machine, "terminate");
        return "ending";
      });
    },
    async list() {
      const machines = await call(wire, () => cloud.list());
      if (!wire.dice.chance(cloud.faults.listPartial)) return { machines, complete: true };
      return { machines: wire.dice.some(machines), complete: false };
    },
    async watchUntilExit({ name }, onSample, signal) {
      for (;;) {
        const found = await call(wire, () => cloud.find(name));
        const machine = must(found, `${name} was created`);
        const usage = usageOf(machine, wire.world.nowMs());
        if (machine.state === "gone") return { cause: CAUSES[machine.endedBy ?? "death"], usage };
        onSample(usage);
        await process.sleep(SAMPLE_MS, signal);
        if (signal.aborted) return { cause: "lost", usage };
      }
    },
  };
}

const CAUSES: Readonly<Record<EndedBy, MachineExit["cause"]>> = {
  tenant: "ended",
  "own timer": "deadline",
  death: "lost",
  terminate: "ended",
};

/** There, served, and back. What has been sent arrives even when its sender has died. */
async function call<T>({ cloud, world, process, dice }: Wire, serve: () => T): Promise<T> {
  const lost = (share: number): boolean => cloud.faults.outage || dice.chance(share);
  const unknown = async (): Promise<never> => {
    await process.sleep(CALL_MS_MAX);
    throw new BridgeError("unknown-outcome", "no answer from the cloud", { retry: "later" });
  };
  const travel = (): Promise<void> => world.sleep(dice.between(5, 500));
  return await process.whileAlive(
    (async () => {
      await travel();
      if (lost(cloud.faults.requestLost)) return await unknown();
      const result = serve();
      if (lost(cloud.faults.responseLost)) return await unknown();
      await travel();
      return result;
    })(),
  );
}

function usageOf({ upMs, goneMs }: CloudMachine, nowMs: number): Usage {
  if (upMs === undefined)
    return { cpuCoreMs: 0, ramMibSeconds: 0, netBytes: null, basis: "unknown" };
  const lifeMs = (goneMs ?? nowMs) - upMs;
  return { cpuCoreMs: lifeMs, ramMibSeconds: lifeMs, netBytes: null, basis: "measured" };
}

function offerOf(cloud: Cloud): BackendOffer {
  return {
    region: "sim-1",
    regionClass: "europe",
    zone: "a",
    shape: { cpuMillicores: 1000, ramMib: 1024, storageGib: 8 },
    tee: "none",
    free: cloud.free(),
    pricePerHourMicros: SIM_PRICE_MICROS,
    imageKinds: ["none"],
  };
}
