/** Token buckets, one per peer: a peer may burst, then is held to a steady rate. */
import type { Clock } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import * as limits from "../base/limits.ts";

export interface RateLimit {
  /** Takes `cost` tokens from the peer's bucket; false when it has too few. */
  take(peer: string, cost: number): boolean;
  forget(peer: string): void;
}

export function rateLimit(perSecond: number, burst: number, clock: Clock): RateLimit {
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  return {
    take(peer, cost) {
      const nowMs = clock.monotonicMs();
      const bucket = buckets.get(peer) ?? { tokens: burst, atMs: nowMs };
      const tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond);
      const enough = tokens >= cost;
      buckets.delete(peer); // re-inserted last: the map is ordered by use
      buckets.set(peer, { tokens: enough ? tokens - cost : tokens, atMs: nowMs });
      if (buckets.size > limits.RATE_PEERS_MAX) {
        const oldest = buckets.keys().next().value;
        if (oldest !== undefined) buckets.delete(oldest);
      }
      return enough;
    },
    forget: (peer) => void buckets.delete(peer),
  };
}

/** Lets a peer's requests in at a steady rate. Throws `rate-limited` above it; a peer that does not slow down is barred. */
export function requestGate(clock: Clock, bar: (peer: string) => void): (peer: string) => void {
  const requests = rateLimit(limits.PEER_REQUESTS_PER_SECOND, limits.PEER_REQUESTS_BURST, clock);
  const excess = rateLimit(limits.PEER_EXCESS_PER_SECOND, limits.PEER_EXCESS_BURST, clock);
  return (peer) => {
    if (requests.take(peer, 1)) return;
    if (!excess.take(peer, 1)) bar(peer);
    throw new BridgeError("rate-limited", "too many requests", { retry: "later" });
  };
}
