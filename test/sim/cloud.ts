/**
 * A cloud account with a seed: slow, short of capacity, forgetful, and with machines that die. This file is the cloud's
 * own side, which lives on whatever happens to the provider; cloud-backend.ts is the provider's side of the wire.
 */
import type { Bytes32 } from "../../src/base/bytes.ts";
import { taggedHash } from "../../src/base/hash.ts";
import { SECOND_MS } from "../../src/base/limits.ts";
import type { ListedMachine, MachineOrder } from "../../src/fleet/backend.ts";
import type { FakeClock } from "../support/fake-clock.ts";
import type { Dice } from "./random.ts";

/** What can go wrong, as shares of calls. All zero: a cloud as one wishes. */
export interface CloudFaults {
  capacity: number;
  throttle: number;
  /** The call never arrives, or its answer never comes back: the caller cannot tell which. */
  requestLost: number;
  responseLost: number;
  listPartial: number;
  /** Of machines: they vanish some time after they are up. */
  death: number;
  /** Nothing answers at all. */
  outage: boolean;
}

export const CALM: Readonly<CloudFaults> = {
  capacity: 0,
  throttle: 0,
  requestLost: 0,
  responseLost: 0,
  listPartial: 0,
  death: 0,
  outage: false,
};

export type EndedBy = "tenant" | "own timer" | "death" | "terminate";

export interface CloudMachine {
  readonly account: string;
  readonly order: MachineOrder;
  readonly host: string;
  readonly hostKey: Bytes32;
  readonly createdMs: number;
  /** A listing shows it from then on. */
  readonly visibleMs: number;
  state: "starting" | "running" | "ending" | "gone";
  upMs: number | undefined;
  goneMs: number | undefined;
  endedBy: EndedBy | undefined;
}

export interface Cloud {
  readonly account: string;
  faults: CloudFaults;
  readonly machines: readonly CloudMachine[];
  free(): number;
  /** Idempotent by the order's name. undefined: none free. */
  create(order: MachineOrder): CloudMachine | undefined;
  find(name: string): CloudMachine | undefined;
  /** Begins to end the machine, whoever wants it to. */
  end(machine: CloudMachine, by: EndedBy): void;
  list(): ListedMachine[];
}

const MACHINES_MAX = 4;
/** Below ORPHAN_AGE_MS: the provider takes what two listings that far apart do not show for absent. */
const LIST_LAG_MS_MAX = 20 * SECOND_MS;

export function openCloud(
  account: string,
  clock: FakeClock,
  dice: Dice,
  onCreate: (machine: CloudMachine) => void,
): Cloud {
  const machines: CloudMachine[] = [];
  const lasting = (): CloudMachine[] => machines.filter(({ state }) => state !== "gone");
  const cloud: Cloud = {
    account,
    faults: { ...CALM },
    machines,
    free: () => MACHINES_MAX - lasting().length,
    create(order) {
      const present = cloud.find(order.name);
      if (present !== undefined) return present;
      if (cloud.free() === 0 || dice.chance(cloud.faults.capacity)) return undefined;
      const machine: CloudMachine = {
        account,
        order,
        host: `${account}-${machines.length}.cloud.example`,
        hostKey: taggedHash("compute-bridge/sim-host-key/v1", account, order.name),
        createdMs: clock.nowMs(),
        visibleMs: clock.nowMs() + dice.below(LIST_LAG_MS_MAX),
        state: "starting",
        upMs: undefined,
        goneMs: undefined,
        endedBy: undefined,
      };
      machines.push(machine);
      onCreate(machine);
      void live(machine);
      return machine;
    },
    find: (name) => machines.find(({ order }) => order.name === name),
    end(machine, by) {
      if (machine.state === "ending" || machine.state === "gone") return;
      machine.state = "ending";
      machine.endedBy = by;
      void clock.sleep(dice.between(100, 5000)).then(() => {
        machine.state = "gone";
        machine.goneMs = clock.nowMs();
      });
    },
    list: () =>
      lasting()
        .filter(({ visibleMs }) => visibleMs <= clock.nowMs())
        .map(listedOf),
  };
  return cloud;

  async function live(machine: CloudMachine): Promise<void> {
    await clock.sleep(dice.between(SECOND_MS, 15 * SECOND_MS));
    if (machine.state !== "starting") return;
    machine.state = "running";
    machine.upMs = clock.nowMs();
    if (dice.chance(cloud.faults.death)) {
      void clock.sleep(dice.below(60 * SECOND_MS)).then(() => cloud.end(machine, "death"));
    }
    if (dice.chance(0.5)) return; // the tenant is root and has stopped the timer
    await clock.sleep(machine.order.deadlineMs - clock.nowMs());
    cloud.end(machine, "own timer");
  }
}

function listedOf(machine: CloudMachine): ListedMachine {
  const { account, order, createdMs, state } = machine;
  return {
    backend: account,
    name: order.name,
    tags: order.tags,
    createdMs,
    state: state === "gone" ? "ending" : state,
    ...(state === "running" ? { machine: machineOf(machine) } : {}),
  };
}

export function machineOf({ account, order, host, hostKey }: CloudMachine) {
  return {
    backend: account,
    name: order.name,
    instanceId: `i-${order.name}`,
    host,
    port: 22,
    user: "root",
    hostKey,
    tee: "none" as const,
  };
}
