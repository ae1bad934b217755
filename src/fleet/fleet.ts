/**
 * All backends behind one face. Each is asked alone: one that fails or hangs costs its own offers and nothing else.
 */
import { beforeAbort } from "../base/async.ts";
import { type Clock, timeoutSignal } from "../base/clock.ts";
import { BridgeError, codeOf } from "../base/errors.ts";
import { BACKEND_ASK_MS, BACKEND_PATIENCE_MS } from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import type { Backend, Listing, Machine, MachineOrder, MachineRef } from "./backend.ts";
import { type Blocked, createBreaker, type Place } from "./breaker.ts";
import { type Route, type RoutedOffer, type RouteRequest, route } from "./route.ts";

export interface BackendHealth {
  readonly name: string;
  readonly ok: boolean;
  readonly lastOkMs: number | undefined;
  readonly error: string | undefined;
}

export interface Fleet {
  /** What can be started now, as last heard, less what a breaker holds back. */
  offers(): readonly RoutedOffer[];
  /** Asks every backend what it has; returns without those that take long, whose answers follow. */
  refresh(signal: AbortSignal): Promise<void>;
  route(request: RouteRequest): Route;
  /** Throws the backend's BridgeError after tripping its breaker. */
  provision(
    backend: string,
    order: MachineOrder,
    place: Place,
    signal: AbortSignal,
  ): Promise<Machine>;
  backend(name: string): Backend;
  terminate(machine: MachineRef, signal: AbortSignal): Promise<"gone" | "ending">;
  /** Every machine that carries our tag; `complete` is false when a backend could not be read. */
  list(signal: AbortSignal): Promise<Listing>;
  /** Every backend has answered or failed at least once: what `offers` does not show is not there. */
  isHeard(): boolean;
  health(): readonly BackendHealth[];
  blocked(): readonly Blocked[];
  onChange(listener: () => void): void;
}

export interface ConfiguredBackend {
  readonly backend: Backend;
  readonly priority: number;
}

export function createFleet(
  configured: readonly ConfiguredBackend[],
  clock: Clock,
  log: Logger,
): Fleet {
  const backends = new Map(configured.map(({ backend }) => [backend.name, backend]));
  const known = new Map<string, readonly RoutedOffer[]>();
  const health = new Map<string, BackendHealth>();
  const asking = new Map<string, Promise<void>>();
  const breaker = createBreaker(clock);
  const listeners: (() => void)[] = [];
  const isBlocked = ({ backend, offer }: RoutedOffer): boolean =>
    breaker.isBlocked({ backend, region: offer.region, zone: offer.zone, shape: offer.shape });
  const backend = (name: string): Backend => {
    const found = backends.get(name);
    if (found !== undefined) return found;
    throw new BridgeError("bug", `backend ${name} is not configured`, {
      fix: "put it back into the configuration until its machines are gone",
    });
  };

  return {
    offers: () => [...known.values()].flat().filter((offer) => !isBlocked(offer)),
    async refresh(signal) {
      const patience = new AbortController();
      const waited = clock.sleep(BACKEND_PATIENCE_MS, AbortSignal.any([signal, patience.signal]));
      await Promise.race([Promise.all(configured.map((one) => askOnce(one, signal))), waited]);
      patience.abort();
    },
    route: (request) => route([...known.values()].flat(), backends, isBlocked, request),
    async provision(name, order, place, signal) {
      try {
        return await backend(name).provision(order, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        breaker.trip(place, codeOf(error), error instanceof Error ? error.message : String(error));
        changed();
        throw error;
      }
    },
    backend,
    terminate: (machine, signal) => backend(machine.backend).terminate(machine, signal),
    async list(signal) {
      const listings = await Promise.all(configured.map((one) => listOne(one.backend, signal)));
      return {
        machines: listings.flatMap((listing) => listing.machines),
        complete: listings.every((listing) => listing.complete),
      };
    },
    isHeard: () => configured.every(({ backend: one }) => known.has(one.name)),
    health: () => [...health.values()],
    blocked: () => breaker.blocked(),
    onChange: (listener) => void listeners.push(listener),
  };

  function changed(): void {
    for (const listener of listeners) listener();
  }

  /** A backend that has not answered the last question is not asked another. */
  function askOnce(one: ConfiguredBackend, signal: AbortSignal): Promise<void> {
    const { name } = one.backend;
    const running = asking.get(name);
    if (running !== undefined) return running;
    const started = ask(one, signal).finally(() => asking.delete(name));
    asking.set(name, started);
    return started;
  }

  async function ask(
    { backend: one, priority }: ConfiguredBackend,
    signal: AbortSignal,
  ): Promise<void> {
    const { name } = one;
    const before = JSON.stringify(known.get(name));
    try {
      const limit = timeoutSignal(clock, BACKEND_ASK_MS, signal);
      const offers = await beforeAbort(one.capabilities(limit), limit);
      known.set(
        name,
        offers.map((offer) => ({ backend: name, priority, offer })),
      );
      health.set(name, { name, ok: true, lastOkMs: clock.nowMs(), error: undefined });
    } catch (error) {
      if (signal.aborted) return;
      if (health.get(name)?.ok !== false) log.warn("backend-unavailable", { backend: name, error });
      known.set(name, []);
      const lastOkMs = health.get(name)?.lastOkMs;
      health.set(name, { name, ok: false, lastOkMs, error: codeOf(error) });
    }
    if (JSON.stringify(known.get(name)) !== before) changed();
  }

  async function listOne(one: Backend, signal: AbortSignal): Promise<Listing> {
    try {
      const limit = timeoutSignal(clock, BACKEND_ASK_MS, signal);
      return await beforeAbort(one.list(limit), limit);
    } catch (error) {
      log.warn("backend-not-listed", { backend: one.name, error });
      return { machines: [], complete: false };
    }
  }
}
