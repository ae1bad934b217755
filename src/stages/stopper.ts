/**
 * One drain at a time, whoever asks for it: a signal, the operator, or an earlier run that ended before its drain did.
 * Asking again may add termination or retirement, never take it away; a cancel takes all of it back.
 */
import type { Marker } from "../coalition/marker.ts";
import { type DrainParts, type DrainResult, drain } from "./drain.ts";
import type { DrainOrder } from "./standing.ts";

export interface Stopper {
  drain(options: Pick<DrainOrder, "terminate">): void;
  retire(options: Pick<DrainOrder, "terminate">): void;
  resume(): void;
  readonly done: Promise<{
    readonly result: DrainResult;
    readonly reason: Marker["reason"];
  }>;
}

export interface StopperParts extends DrainParts {
  /** Resolves when the coalition has been reached, without which there is no marker. */
  readonly ready: Promise<void>;
}

const NOTHING: DrainOrder = { reason: "stop", terminate: false };

/** Goes on with an unfinished drain of an earlier run, and says so: its operator may think that it serves. */
export function createStopper(parts: StopperParts, waitMs: number): Stopper {
  const { standing, ready, log } = parts;
  const { promise: done, resolve: settle } = Promise.withResolvers<Awaited<Stopper["done"]>>();
  const unfinished = standing.unfinishedDrain();
  let running: AbortController | undefined;
  let order = unfinished ?? NOTHING;
  const ask = (more: DrainOrder): void => {
    order = {
      reason: more.reason === "retire" ? "retire" : order.reason,
      terminate: order.terminate || more.terminate,
    };
    standing.drain(order);
    if (running !== undefined) return;
    running = new AbortController();
    void run(running.signal);
  };
  if (unfinished !== undefined) {
    log.warn("drain-goes-on", {
      ...unfinished,
      why: "an earlier run was told to drain and ended before it was done",
      fix: "to serve again: compute-bridge drain --cancel",
    });
    ready.then(
      () => {
        if (standing.now() === "draining") ask(order);
      },
      () => {}, // not ready: whoever waits for that ends the provider
    );
  }
  return {
    done,
    drain: ({ terminate }) => ask({ reason: "stop", terminate }),
    retire: ({ terminate }) => ask({ reason: "retire", terminate }),
    resume() {
      running?.abort();
      running = undefined;
      order = NOTHING;
      standing.resume();
    },
  };

  async function run(signal: AbortSignal): Promise<void> {
    const options = {
      get reason() {
        return order.reason;
      },
      get terminate() {
        return order.terminate;
      },
      waitMs,
      onWaiting: (live: number) => log.debug("draining", { live }),
    };
    const result = await drain(parts, options, signal);
    if (result !== "cancelled") settle({ result, reason: order.reason });
  }
}
