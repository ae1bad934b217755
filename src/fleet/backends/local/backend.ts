/**
 * The local backend: a grant's machine is a child process with its own SSH server on loopback. For development
 * only. It isolates nothing: the tenant has the provider's own user, files and network, so the network policy
 * must be "open", and it is left out of production builds (LOCAL_BACKEND_MARKER names the bytes to look for).
 *
 * All state is in files (records.ts), none in this object: another one over the same directory, in this process or
 * the next, finds every machine again.
 */
import { BridgeError } from "../../../base/errors.ts";
import { LOCAL_WATCH_POLL_MS } from "../../../base/limits.ts";
import type { Backend, BackendOffer, ListedMachine, Usage } from "../../backend.ts";
import { unfit } from "./fit.ts";
import { LOCAL_BACKEND_MARKER } from "./marker.ts";
import type { LocalOptions } from "./options.ts";
import { createProvisioner, toMachine } from "./provision.ts";
import { createStore, type State, type Stored, stateOf } from "./store.ts";
import { terminate, UNKNOWN_USAGE } from "./terminate.ts";

export type { LocalOptions };

/** Throws `config-invalid` on a system without /proc. */
export function localBackend(options: LocalOptions): Backend {
  if (process.platform !== "linux") {
    throw new BridgeError("config-invalid", "the local backend needs Linux and its /proc");
  }
  const { name, clock, log, machinesMax } = options;
  log.warn("local-backend", { notice: LOCAL_BACKEND_MARKER });
  const store = createStore(options);
  const offer: Omit<BackendOffer, "free"> = {
    region: options.region,
    regionClass: options.regionClass,
    zone: options.region,
    shape: options.shape,
    tee: "none",
    pricePerHourMicros: options.pricePerHourMicros,
    imageKinds: ["none"],
  };
  const living = (machines: readonly Stored[]): Living[] =>
    machines
      .map((stored) => ({ stored, state: stateOf(stored, clock.nowMs()) }))
      .filter((machine): machine is Living => machine.state !== "ended");
  const taken = (): number => living(store.all().machines).length;
  return {
    name,
    capabilities: async () => [{ ...offer, free: Math.max(0, machinesMax - taken()) }],
    canSatisfy: (wanted, need) => unfit(wanted, need, offer),
    provision: createProvisioner(options, store, taken),
    async watchUntilExit(machine, onSample, signal) {
      let last: Usage | undefined;
      for (;;) {
        const stored = store.load(machine.name);
        const usage = stored?.usage?.usage;
        if (stored?.exit !== undefined)
          return { cause: stored.exit.cause, usage: stored.exit.usage };
        if (stored?.alive !== true) return { cause: "lost", usage: usage ?? UNKNOWN_USAGE };
        if (usage !== undefined && !sameUsage(usage, last)) onSample(usage);
        last = usage;
        if (signal.aborted) {
          throw new BridgeError("unknown-outcome", "stopped watching; the machine runs on");
        }
        await clock.sleep(LOCAL_WATCH_POLL_MS, signal);
      }
    },
    terminate: (ref, signal) => terminate(() => store.load(ref.name), clock, signal, log),
    async list() {
      const { machines, complete } = store.all();
      return { machines: living(machines).map((machine) => toListed(machine, name)), complete };
    },
  };
}

interface Living {
  readonly stored: Stored;
  readonly state: Exclude<State, "ended">;
}

function toListed({ stored, state }: Living, backend: string): ListedMachine {
  const { name, tags } = stored.job.order;
  const machine = toMachine(stored, backend);
  return {
    backend,
    name,
    tags,
    createdMs: stored.job.createdMs,
    state,
    ...(machine === undefined ? {} : { machine }),
  };
}

function sameUsage(a: Usage, b: Usage | undefined): boolean {
  return a.cpuCoreMs === b?.cpuCoreMs && a.ramMibSeconds === b.ramMibSeconds;
}
