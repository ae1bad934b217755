/** What the in-memory network keeps of one running node. */
import { toHex } from "../../src/base/bytes.ts";
import type { Clock } from "../../src/base/clock.ts";
import { signingKey } from "../../src/base/ed25519.ts";
import { sha256 } from "../../src/base/hash.ts";
import { peerKeyIn } from "../../src/network/identity.ts";
import type { NodeOptions } from "../../src/network/node.ts";
import { requestGate } from "../../src/network/rate.ts";
import type { GossipVerdict, PeerKey, RequestHandler } from "../../src/network/transport.ts";

export interface Attached {
  readonly key: PeerKey;
  readonly options: NodeOptions;
  /** Peers it dials until it has them. */
  readonly targets: readonly PeerKey[];
  readonly dead: AbortController;
  readonly connected: Set<PeerKey>;
  readonly barredUntilMs: Map<PeerKey, number>;
  readonly handlers: Map<string, { bytesMax: number; handler: RequestHandler }>;
  /** Gossip it has met, by hash. */
  readonly seen: Set<string>;
  readonly listeners: ((peer: PeerKey) => void)[];
  /** Throws `rate-limited`. */
  readonly letIn: (peer: PeerKey) => void;
  onGossip: (peer: PeerKey, bytes: Uint8Array) => GossipVerdict;
}

const SEEN_MAX = 100_000;

export function attach(
  options: NodeOptions,
  clock: Clock,
  bar: (by: PeerKey, peer: PeerKey) => void,
): Attached {
  const key = toHex(signingKey(options.seed).publicKey);
  return {
    key,
    options,
    targets: options.bootstrap.map(peerKeyIn).filter((target) => target !== key),
    dead: new AbortController(),
    connected: new Set(),
    barredUntilMs: new Map(),
    handlers: new Map(),
    seen: new Set(),
    listeners: [],
    letIn: requestGate(clock, (peer) => bar(key, peer)),
    onGossip: () => "ignore",
  };
}

/** True when the message is new here. */
export function remember(node: Attached, bytes: Uint8Array): boolean {
  const id = toHex(sha256(bytes));
  if (node.seen.has(id)) return false;
  node.seen.add(id);
  const oldest = node.seen.values().next().value;
  if (node.seen.size > SEEN_MAX && oldest !== undefined) node.seen.delete(oldest);
  return true;
}
