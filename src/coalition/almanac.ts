/**
 * The Almanac: the coalition's clock. Each member signs the tick it has reached; tick s stands once `threshold`
 * members have signed s or later, so a signature on s vouches for every tick up to s. No leader, no log: the newest
 * vote of each member is the whole state, and seq only rises. The time beside it is the median of the signers' own,
 * and advisory.
 */
import { toHex } from "../base/bytes.ts";
import { type Clock, jitter } from "../base/clock.ts";
import type { SigningKey } from "../base/ed25519.ts";
import type { Logger } from "../base/log.ts";
import { codec, integer, type Static, strictObject, Type } from "../base/schema.ts";
import type { Collection } from "../network/collection.ts";
import { type SignedRecord, signRecord } from "../network/record.ts";
import type { Coalition } from "./config.ts";

export const TickVoteSchema = strictObject({
  v: Type.Literal(1),
  seq: integer(1),
  timeMs: integer(1),
});
export type TickVote = Static<typeof TickVoteSchema>;
export const tickVoteCodec = codec(TickVoteSchema, "tick vote");

export interface Tick {
  readonly seq: number;
  /** Median of the signers' clocks, ms since the epoch; 0 before the first tick. */
  readonly timeMs: number;
}

/** The tick that stands now. */
export function currentTick(votes: Collection<TickVote>, threshold: number): Tick {
  const bySeq = [...votes.values()].map((entry) => entry.body).sort((a, b) => b.seq - a.seq);
  const reached = bySeq[threshold - 1];
  if (reached === undefined) return { seq: 0, timeMs: 0 };
  const times = bySeq
    .slice(0, threshold)
    .map((vote) => vote.timeMs)
    .sort((a, b) => a - b);
  return { seq: reached.seq, timeMs: times[Math.floor(times.length / 2)] ?? 0 };
}

export interface TickerOptions {
  readonly coalition: Coalition;
  readonly key: SigningKey;
  readonly votes: Collection<TickVote>;
  readonly publish: (record: SignedRecord) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * A member's part: one period after it saw tick s stand, sign s + 1. The wait starts anew with every tick that stands;
 * members that each signed on a beat of their own would take turns, and the almanac would run ahead of its period.
 */
export async function runTicker(options: TickerOptions): Promise<void> {
  const { coalition, votes, clock, signal } = options;
  const { periodMs } = coalition.file.almanac;
  const threshold = coalition.file.committee.grantThreshold;
  let stood = currentTick(votes, threshold).seq;
  let wake = new AbortController();
  const unsubscribe = votes.subscribe(() => wake.abort());
  let dueMs = clock.monotonicMs() + (stood === 0 ? 0 : jitter(periodMs, 0.02));
  while (!signal.aborted) {
    const now = currentTick(votes, threshold).seq;
    if (now > stood) {
      stood = now;
      dueMs = clock.monotonicMs() + jitter(periodMs, 0.02);
    }
    if (clock.monotonicMs() >= dueMs) {
      signNext(options, stood + 1);
      dueMs = clock.monotonicMs() + jitter(periodMs, 0.02); // for a vote that was not taken
      continue;
    }
    wake = new AbortController();
    await clock.sleep(dueMs - clock.monotonicMs(), AbortSignal.any([signal, wake.signal]));
  }
  unsubscribe();
}

function signNext(
  { coalition, key, votes, publish, clock, log }: TickerOptions,
  seq: number,
): void {
  if ((votes.get(toHex(key.publicKey))?.body.seq ?? 0) >= seq) return;
  const vote: TickVote = { v: 1, seq, timeMs: Math.max(1, Math.floor(clock.nowMs())) };
  try {
    publish(signRecord(key, coalition.network, "tick", vote));
  } catch (error) {
    log.warn("tick-not-published", { seq, error });
  }
}
