/** From an order to a machine that is handed over, any number of times with the same result. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { bytes32, equal, fromHex, toHex } from "../../../base/bytes.ts";
import { encodeCanonical } from "../../../base/canonical.ts";
import { signingKey } from "../../../base/ed25519.ts";
import { BridgeError } from "../../../base/errors.ts";
import { LOCAL_LOGIN_MS_MAX } from "../../../base/limits.ts";
import { correlate } from "../../../base/log.ts";
import { covers } from "../../../coalition/classes.ts";
import type { Backend, Machine, MachineOrder } from "../../backend.ts";
import { firstLogin } from "../../first-login.ts";
import { localHandover } from "./handover.ts";
import { ended, launch, untilReady } from "./launch.ts";
import type { LocalOptions } from "./options.ts";
import { FILES } from "./records.ts";
import { type Job, type JobOrder, records } from "./schemas.ts";
import type { Store, Stored } from "./store.ts";
import { TENANT_USER } from "./tenant.ts";

const HOST = "127.0.0.1";

/** `living` counts the machines that take up capacity. Calls for one name take turns. */
export function createProvisioner(
  options: LocalOptions,
  store: Store,
  living: () => number,
): Backend["provision"] {
  const turns = new Map<string, Promise<unknown>>();
  return (order, signal) => {
    const before = turns.get(order.name) ?? Promise.resolve();
    const run = before.then(() => provision(order, signal, options, store, living));
    const settled = run.then(
      () => {},
      () => {},
    );
    turns.set(order.name, settled);
    void settled.then(() => {
      if (turns.get(order.name) === settled) turns.delete(order.name);
    });
    return run;
  };
}

async function provision(
  order: MachineOrder,
  signal: AbortSignal,
  options: LocalOptions,
  store: Store,
  living: () => number,
): Promise<Machine> {
  const load = (): Stored | undefined => store.load(order.name);
  const machine = load() ?? create(order, options, store, living);
  if (!sameOrder(machine.job.order, jobOrder(order))) {
    throw new BridgeError("bug", `the machine ${order.name} was ordered differently before`);
  }
  const { clock, name } = options;
  const died = machine.process !== undefined && !machine.alive;
  if (died || machine.endingMs !== undefined || machine.exit !== undefined) {
    throw ended("none is started twice");
  }
  const handedOver = toMachine(machine, name);
  if (handedOver !== undefined) return handedOver;
  let child: Bun.Subprocess | undefined;
  if (machine.process === undefined) {
    const bootstrapHostSeed = toHex(order.bootstrapHostSeed.reveal());
    store.entrust(machine, { v: 1, bootstrapHostSeed });
    child = launch(options.command, machine.folder);
  }
  const ready = await untilReady(load, child, clock, signal);
  rmSync(join(machine.folder, FILES.secrets), { force: true }); // left when another process came first
  await handOver(order, ready.port, options, signal).catch((error: unknown) => {
    // The machine may have done it, and only the answer was lost: then its own record tells.
    const after = load();
    if (after?.alive !== true || after.endingMs !== undefined)
      throw ended("it ended before it was handed over");
    if (after.hostKey === undefined) throw error;
  });
  const result = toMachine(load(), name);
  if (result === undefined) throw ended("it ended as soon as it was handed over");
  options.log.info("local-machine-up", { machine: correlate(order.name) });
  return result;
}

function create(
  order: MachineOrder,
  options: LocalOptions,
  store: Store,
  living: () => number,
): Stored {
  const { clock, portRange, machinesMax } = options;
  const wrong = mistake(order, options);
  if (wrong !== undefined) throw new BridgeError("bug", `the order ${order.name} ${wrong}`);
  if (order.deadlineMs <= clock.nowMs()) throw ended("its deadline has passed");
  if (living() >= machinesMax) {
    throw new BridgeError("capacity", `all ${machinesMax} local machines are in use`);
  }
  const job: Job = {
    v: 1,
    backend: options.name,
    createdMs: clock.nowMs(),
    ports: portRange ?? null,
    order: jobOrder(order),
  };
  try {
    records.job.check(job);
  } catch (cause) {
    throw new BridgeError("bug", `the order ${order.name} is malformed`, { cause });
  }
  return store.create(job);
}

/** What `canSatisfy` would have refused: an order that gets here in spite of it is a bug of ours. */
function mistake(order: MachineOrder, options: LocalOptions): string | undefined {
  if (order.tags.providerId !== options.providerId) return "carries another provider's tag";
  if (order.region !== options.region) return `is for region ${order.region}`;
  if (order.tee !== "none") return `wants ${order.tee}`;
  if (order.image.kind !== "none") return `has an image of kind ${order.image.kind}`;
  if (order.egress.egress !== "open") return `wants egress "${order.egress.egress}"`;
  if (!covers(options.shape, order.shape)) return "wants more than a machine has";
  return undefined;
}

async function handOver(
  order: MachineOrder,
  port: number,
  options: LocalOptions,
  signal: AbortSignal,
): Promise<void> {
  await firstLogin(
    {
      host: HOST,
      port,
      user: TENANT_USER,
      bootstrapHostKey: signingKey(order.bootstrapHostSeed.reveal()).publicKey,
      bootstrapLoginSeed: order.bootstrapLoginSeed,
      loginKey: order.loginKey,
      handover: localHandover,
    },
    { clock: options.clock, signal, withinMs: LOCAL_LOGIN_MS_MAX, log: options.log },
  );
}

/** Undefined unless it runs and was handed over. */
export function toMachine(stored: Stored | undefined, backend: string): Machine | undefined {
  if (stored?.alive !== true || stored.port === undefined || stored.hostKey === undefined) {
    return undefined;
  }
  return {
    backend,
    name: stored.job.order.name,
    instanceId: `${stored.process?.pid}-${stored.process?.startTicks}`,
    host: HOST,
    port: stored.port,
    user: TENANT_USER,
    hostKey: bytes32(fromHex(stored.hostKey), "host key"),
    tee: "none",
  };
}

/** The part of an order that makes it that order; no secrets. */
export function jobOrder(order: MachineOrder): JobOrder {
  const publicKey = (seed: MachineOrder["bootstrapHostSeed"]): string =>
    toHex(signingKey(seed.reveal()).publicKey);
  return {
    name: order.name,
    tags: { ...order.tags },
    region: order.region,
    zone: order.zone,
    shape: { ...order.shape },
    bootstrapHostKey: publicKey(order.bootstrapHostSeed),
    bootstrapLoginKey: publicKey(order.bootstrapLoginSeed),
    loginKey: toHex(order.loginKey),
    deadlineMs: order.deadlineMs,
  };
}

function sameOrder(a: JobOrder, b: JobOrder): boolean {
  return equal(encodeCanonical(a), encodeCanonical(b));
}
