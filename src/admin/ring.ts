/** The recent events of the page: a ring without ids and without exact times. */
import { EVENTS_KEPT_MAX, MINUTE_MS } from "../base/limits.ts";
import type { AdminEvent, EventKind } from "./facts.ts";

/** What happened, without saying to whom. */
export interface Told {
  readonly kind: EventKind;
  readonly backend?: string | undefined;
  readonly code?: string | undefined;
}

export interface EventRing {
  add(told: Told): void;
  /** Oldest first. */
  events(): readonly AdminEvent[];
  onAdd(listener: () => void): void;
}

export function createEventRing(nowMs: () => number): EventRing {
  const kept: AdminEvent[] = [];
  const listeners: (() => void)[] = [];
  return {
    add({ kind, backend, code }) {
      kept.push({
        minuteMs: minuteOf(nowMs()),
        kind,
        ...(backend === undefined ? {} : { backend }),
        ...(code === undefined ? {} : { code }),
      });
      if (kept.length > EVENTS_KEPT_MAX) kept.shift();
      for (const listener of listeners) listener();
    },
    events: () => [...kept],
    onAdd: (listener) => void listeners.push(listener),
  };
}

/** The start of the minute. */
export function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE_MS) * MINUTE_MS;
}
