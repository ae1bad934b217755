/** What the coalition holds, seen by a node of this test that only reads. */
import { systemClock, timeoutSignal } from "../../../src/base/clock.ts";
import { silentLogger } from "../../../src/base/log.ts";
import { readCoalition } from "../../../src/coalition/config.ts";
import { type ComputeLog, isFinal } from "../../../src/coalition/log.ts";
import type { CoalitionRecords } from "../../../src/coalition/records.ts";
import { joinAsRequester } from "../../../src/requester.ts";
import { PATIENCE_MS } from "./processes.ts";

export interface Observer {
  readonly records: CoalitionRecords;
  /** All entries of all grants that end a chain. One grant must have exactly one. */
  finals(): ComputeLog[];
  leave(): Promise<void>;
}

/** Throws when the members cannot be reached. */
export async function observe(coalitionFile: string): Promise<Observer> {
  const { records, leave } = await joinAsRequester(
    { coalition: readCoalition(coalitionFile), clock: systemClock, log: silentLogger },
    timeoutSignal(systemClock, PATIENCE_MS, new AbortController().signal),
  );
  return {
    records,
    finals: () => [...records.logs.values()].map(({ body }) => body).filter(isFinal),
    leave,
  };
}
