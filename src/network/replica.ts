/**
 * One node's view of the network: its collections, kept equal to its peers' by gossip (a wake-up) and sync (the
 * truth), and guarded against peers that flood or forge. Everything above sees only this.
 */
import { atLeast } from "../base/async.ts";
import { type Clock, jitter } from "../base/clock.ts";
import { BridgeError, hasCode } from "../base/errors.ts";
import {
  GOSSIP_BYTES_BURST,
  GOSSIP_BYTES_PER_SECOND,
  PUT_MS,
  RECORD_BYTES_MAX,
  STRIKES_BURST,
  STRIKES_PER_SECOND,
  SWEEP_INTERVAL_MS,
  SYNC_BYTES_BURST,
  SYNC_BYTES_PER_SECOND,
  SYNC_INTERVAL_MS,
  SYNC_SOON_MS,
} from "../base/limits.ts";
import { correlate, type Logger } from "../base/log.ts";
import { rateLimit } from "./rate.ts";
import { encodeRecord, type SignedRecord } from "./record.ts";
import type { RecordStore } from "./store.ts";
import { type PullResult, pull, serveSync } from "./sync.ts";
import type { GossipVerdict, PeerKey, Transport } from "./transport.ts";

export const PUT_PROTOCOL = "/compute-bridge/put/1";

export interface Replica {
  readonly transport: Transport;
  readonly store: RecordStore;
  /** Stores the record here and tells the peers. Throws why our own store refuses it. */
  publish(record: SignedRecord): void;
  /**
   * Publishes and waits until at least `need` of the named peers have it (a peer that already has it, or a newer
   * one, counts). Throws `timeout` with the last refusal as cause.
   */
  confirm(
    record: SignedRecord,
    peers: readonly PeerKey[],
    need: number,
    signal: AbortSignal,
  ): Promise<void>;
  /** Pulls from one peer now. */
  pullFrom(peer: PeerKey, signal: AbortSignal): Promise<PullResult>;
  /** Resolves once pulls from `need` of the named peers have completed since the call. */
  converged(peers: readonly PeerKey[], need: number, signal: AbortSignal): Promise<void>;
  /** What peers sent and this node refused, by code. */
  readonly refusals: ReadonlyMap<string, number>;
  stop(): void;
}

export interface ReplicaOptions {
  readonly transport: Transport;
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Peers that pass on everybody's records; what others bring counts against their own quotas. */
  readonly relays: ReadonlySet<PeerKey>;
  /** Bars a peer that keeps sending what cannot be honest. */
  readonly bar: (peer: PeerKey) => void;
}

/** Refusals an honest peer can cause: its view is older or newer than ours. */
const HONEST = [
  "superseded",
  "stale-epoch",
  "expired",
  "over-quota",
  "lacks-context",
  "not-granted",
] as const;

export function startReplica(options: ReplicaOptions): Replica {
  const { transport, store, clock, log } = options;
  const controller = new AbortController();
  const refusals = new Map<string, number>();
  const bytesIn = rateLimit(GOSSIP_BYTES_PER_SECOND, GOSSIP_BYTES_BURST, clock);
  const bytesOut = rateLimit(SYNC_BYTES_PER_SECOND, SYNC_BYTES_BURST, clock);
  const strikes = rateLimit(STRIKES_PER_SECOND, STRIKES_BURST, clock);
  const pulling = new Map<PeerKey, Promise<PullResult>>();
  const soon = new Set<PeerKey>();

  serveSync(transport, store, (peer, bytes) => {
    if (!bytesOut.take(peer, bytes))
      throw new BridgeError("rate-limited", "too many bytes asked for", { retry: "later" });
  });
  transport.onGossip((peer, bytes) => takeGossip(peer, bytes));
  transport.handle(PUT_PROTOCOL, RECORD_BYTES_MAX, (peer, bytes) => {
    if (!bytesIn.take(peer, bytes.length)) {
      strike(peer);
      throw new BridgeError("rate-limited", "too many bytes", { retry: "later" });
    }
    const fresh = judge(peer, bytes, (error) => {
      throw error;
    });
    if (fresh) transport.gossip(bytes);
    return new Uint8Array(0);
  });
  transport.onPeer((peer) => pullQuietly(peer));
  void every(SYNC_INTERVAL_MS, () => {
    for (const peer of transport.peers()) pullQuietly(peer);
  });
  void every(SWEEP_INTERVAL_MS, () => store.sweep());

  return {
    transport,
    store,
    refusals,
    publish,
    confirm,
    pullFrom,
    converged,
    stop: () => controller.abort(),
  };

  function publish(record: SignedRecord): void {
    const bytes = encodeRecord(record);
    store.offer(bytes);
    transport.gossip(bytes);
  }

  async function confirm(
    record: SignedRecord,
    peers: readonly PeerKey[],
    need: number,
    signal: AbortSignal,
  ): Promise<void> {
    publish(record);
    const bytes = encodeRecord(record);
    let last: unknown;
    const puts = peers.map(async (peer) => {
      if (peer === transport.self) return;
      try {
        await transport.request(peer, PUT_PROTOCOL, bytes, { timeoutMs: PUT_MS, signal });
      } catch (error) {
        if (hasCode(error, "superseded", "stale-epoch")) return;
        last = error;
        throw error;
      }
    });
    if (await atLeast(need, puts)) return;
    throw new BridgeError("timeout", `fewer than ${need} members took the ${record.kind} record`, {
      retry: "later",
      cause: last,
    });
  }

  function takeGossip(peer: PeerKey, bytes: Uint8Array): GossipVerdict {
    if (!bytesIn.take(peer, bytes.length)) {
      strike(peer);
      count("rate-limited");
      return "ignore";
    }
    let verdict: GossipVerdict = "accept";
    judge(peer, bytes, (error) => {
      verdict = hasCode(error, ...HONEST) ? "ignore" : "reject";
    });
    return verdict;
  }

  /** Offers a peer's record; counts and punishes refusals. Returns whether it was new. */
  function judge(
    peer: PeerKey,
    bytes: Uint8Array,
    onRefusal: (error: BridgeError) => void,
  ): boolean {
    try {
      return store.offer(bytes, introducedBy(peer)).fresh;
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error;
      count(error.code);
      if (hasCode(error, "lacks-context")) pullSoon(peer);
      else if (!hasCode(error, ...HONEST)) strike(peer);
      log.debug("record-refused", { peer: correlate(peer), error });
      onRefusal(error);
      return false;
    }
  }

  function introducedBy(peer: PeerKey): PeerKey | undefined {
    return options.relays.has(peer) ? undefined : peer;
  }

  function count(code: string): void {
    refusals.set(code, (refusals.get(code) ?? 0) + 1);
  }

  /** False once the peer has used up what we tolerate, and is barred. */
  function strike(peer: PeerKey): boolean {
    if (strikes.take(peer, 1)) return true;
    log.warn("peer-barred", { peer: correlate(peer) });
    options.bar(peer);
    return false;
  }

  function pullFrom(peer: PeerKey, signal: AbortSignal): Promise<PullResult> {
    const running = pulling.get(peer);
    if (running !== undefined) return running;
    const started = pull(transport, store, { peer, from: introducedBy(peer) }, signal, (error) => {
      if (hasCode(error, ...HONEST)) return true;
      count(error.code);
      return strike(peer);
    }).finally(() => pulling.delete(peer));
    pulling.set(peer, started);
    return started;
  }

  function pullQuietly(peer: PeerKey): void {
    pullFrom(peer, controller.signal).catch((error: unknown) =>
      log.debug("sync-failed", { peer: correlate(peer), error }),
    );
  }

  function pullSoon(peer: PeerKey): void {
    if (soon.has(peer)) return;
    soon.add(peer);
    void clock.sleep(SYNC_SOON_MS, controller.signal).then(() => {
      soon.delete(peer);
      if (!controller.signal.aborted) pullQuietly(peer);
    });
  }

  async function converged(
    peers: readonly PeerKey[],
    need: number,
    signal: AbortSignal,
  ): Promise<void> {
    const earlier = new Map(pulling); // began before the call, so they prove nothing
    const done = new Set<PeerKey>();
    const attempt = async (peer: PeerKey): Promise<void> => {
      if (peer !== transport.self) {
        const running = pulling.get(peer);
        if (running !== undefined && running === earlier.get(peer)) await running.catch(() => {});
        const { complete } = await pullFrom(peer, signal);
        if (!complete) throw new BridgeError("lacks-context", "the peer's records wait for others");
      }
      done.add(peer);
    };
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    aborted.catch(() => {}); // the race below may be over by then
    for (;;) {
      signal.throwIfAborted();
      const missing = need - done.size;
      const pulls = peers.filter((peer) => !done.has(peer)).map(attempt);
      if (await Promise.race([atLeast(missing, pulls), aborted])) return;
      await clock.sleep(SYNC_SOON_MS, signal);
    }
  }

  async function every(intervalMs: number, act: () => void): Promise<void> {
    while (!controller.signal.aborted) {
      await clock.sleep(jitter(intervalMs), controller.signal);
      if (!controller.signal.aborted) act();
    }
  }
}
