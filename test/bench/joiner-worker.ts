/** A node that comes late, in a process of its own: it knows the coalition file and nothing else. */
import { systemClock } from "../../src/base/clock.ts";
import { randomSeed } from "../../src/base/ed25519.ts";
import { stderrLogger } from "../../src/base/log.ts";
import { readCoalition } from "../../src/coalition/config.ts";
import { coalitionRecords } from "../../src/coalition/records.ts";
import { joinNetwork } from "../../src/network/join.ts";
import { allCollections, boardRecords } from "../../src/zipnet/board.ts";
import { cpuMs } from "./process-figures.ts";
import { serve } from "./worker.ts";

export interface LateJoin {
  /** From the start of its node to the pull that found nothing missing. */
  readonly elapsedMs: number;
  readonly cpuMs: number;
  /** Held then, of all kinds but ticks. */
  readonly records: number;
  readonly refused: number;
}

const WITHIN_MS = 60_000;

const calls = {
  async join({ coalitionFile }: { coalitionFile: string }): Promise<LateJoin> {
    const coalition = readCoalition(coalitionFile);
    const records = coalitionRecords(coalition);
    const board = boardRecords(coalition, records);
    const members = coalition.members.map((member) => member.peer);
    const startMs = performance.now();
    const startCpuMs = cpuMs();
    const network = await joinNetwork({
      ...{ network: coalition.network, seed: randomSeed(), listen: [], announce: [] },
      bootstrap: coalition.members.flatMap((member) => member.addresses),
      collections: allCollections(records, board),
      tick: () => records.tick().seq,
      ...{ clock: systemClock, log: stderrLogger("error") },
    });
    const within = AbortSignal.timeout(WITHIN_MS);
    await network.replica.converged(members, coalition.file.committee.grantThreshold, within);
    const elapsedMs = performance.now() - startMs;
    const held = network.replica.store.collections.filter(({ spec }) => spec.kind !== "tick");
    return {
      elapsedMs,
      cpuMs: cpuMs() - startCpuMs,
      records: held.reduce((sum, collection) => sum + collection.size, 0),
      refused: [...network.replica.refusals.values()].reduce((sum, count) => sum + count, 0),
    };
  },
};
export type JoinerCalls = typeof calls;

if (import.meta.main) serve(calls);
