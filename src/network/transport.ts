/**
 * What the layers above need of a network: requests to a known peer, and gossip to whoever listens. libp2p
 * stands behind it in the program (node.ts), a seeded in-memory network in the simulator.
 */

/** A peer's ed25519 public key in hex: the same key signs its records. */
export type PeerKey = string;

export type GossipVerdict = "accept" | "ignore" | "reject";

export interface RequestOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export type RequestHandler = (peer: PeerKey, body: Uint8Array) => Promise<Uint8Array> | Uint8Array;

export interface Transport {
  readonly self: PeerKey;
  /** Peers with an open connection. */
  peers(): readonly PeerKey[];
  /** Throws `unreachable`, `timeout`, `rate-limited`, or the BridgeError code the peer answered with. */
  request(
    peer: PeerKey,
    protocol: string,
    body: Uint8Array,
    options: RequestOptions,
  ): Promise<Uint8Array>;
  /** One handler per protocol. What the handler throws reaches the caller as its code. */
  handle(protocol: string, requestBytesMax: number, handler: RequestHandler): void;
  /** A hint to whoever is connected; delivery is not promised. */
  gossip(bytes: Uint8Array): void;
  onGossip(handler: (peer: PeerKey, bytes: Uint8Array) => GossipVerdict): void;
  /** Called when a connection to a peer is ready for requests. */
  onPeer(listener: (peer: PeerKey) => void): void;
}
