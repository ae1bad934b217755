/**
 * Books against backends. The cloud is listed first and compared with the journal second, so a machine that was being
 * started meanwhile is never mistaken for an orphan. Adopt first, decide second, destroy last: a machine is removed
 * only when it carries our tag, is old enough, and no grant has claimed it in several sweeps.
 */
import type { Clock } from "../base/clock.ts";
import { ORPHAN_AGE_MS, ORPHAN_SIGHTINGS } from "../base/limits.ts";
import { correlate, type Logger } from "../base/log.ts";
import type { ListedMachine } from "./backend.ts";
import type { Fleet } from "./fleet.ts";

export interface Reconciler {
  /** One sweep. Returns the orphans that were asked to end. */
  sweep(signal: AbortSignal): Promise<readonly ListedMachine[]>;
  readonly counts: { orphansSeen: number; orphansEnded: number };
}

export interface ReconcilerOptions {
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * `claimed`: a live grant wants it. `unknown`: none does; it may be one whose grant has ended, has not reached us
   * yet, or is another instance's.
   */
  readonly claim: (machine: ListedMachine) => "claimed" | "unknown";
}

export function createReconciler({ fleet, clock, log, claim }: ReconcilerOptions): Reconciler {
  const sightings = new Map<string, number>();
  /** Monotonic time at which each listed machine was first seen here. */
  const firstSeenMs = new Map<string, number>();
  const counts = { orphansSeen: 0, orphansEnded: 0 };
  return {
    counts,
    async sweep(signal) {
      const listing = await fleet.list(signal);
      const listed = new Set<string>();
      const seen = new Set<string>();
      const ended: ListedMachine[] = [];
      for (const machine of listing.machines) {
        const id = `${machine.backend}/${machine.name}`;
        listed.add(id);
        if (ageMs(id, machine) < ORPHAN_AGE_MS || machine.state === "ending") continue;
        if (claim(machine) === "claimed") {
          sightings.delete(id);
          continue;
        }
        seen.add(id);
        const times = (sightings.get(id) ?? 0) + 1;
        sightings.set(id, times);
        if (times === 1) {
          counts.orphansSeen += 1;
          log.warn("orphan-seen", { backend: machine.backend, machine: correlate(machine.name) });
        }
        if (times < ORPHAN_SIGHTINGS) continue;
        if (!(await end(machine, signal))) continue;
        counts.orphansEnded += 1;
        ended.push(machine);
      }
      // Only a complete listing may take a sighting back; in a partial one the machine is unknown, not absent.
      if (listing.complete) {
        for (const id of sightings.keys()) if (!seen.has(id)) sightings.delete(id);
        for (const id of firstSeenMs.keys()) if (!listed.has(id)) firstSeenMs.delete(id);
      }
      return ended;
    },
  };

  /** By its own date or by what we have seen ourselves: a clock set back must not keep a machine. */
  function ageMs(id: string, { createdMs }: ListedMachine): number {
    const nowMs = clock.monotonicMs();
    const sinceMs = firstSeenMs.get(id) ?? nowMs;
    firstSeenMs.set(id, sinceMs);
    return Math.max(clock.nowMs() - createdMs, nowMs - sinceMs);
  }

  /** One that will not end is asked again in the next sweep and keeps no other waiting. */
  async function end(machine: ListedMachine, signal: AbortSignal): Promise<boolean> {
    const who = { backend: machine.backend, machine: correlate(machine.name) };
    try {
      await fleet.terminate(machine, signal);
      log.warn("orphan-ended", who);
      return true;
    } catch (error) {
      log.warn("orphan-not-ended", { ...who, error });
      return false;
    }
  }
}
