/**
 * A network in memory behind the interfaces of src/network: seeded, driven by a test's clock, with delay, loss,
 * duplication, partitions and sudden death. Requests and answers use the real wire form of src/network/frames.ts, and
 * gossip floods from peer to peer as gossipsub's does. `join` stands in for joinNetwork wherever a role takes one.
 */
import { signingKey } from "../../src/base/ed25519.ts";
import { BridgeError } from "../../src/base/errors.ts";
import * as limits from "../../src/base/limits.ts";
import { readAnswer, writeAnswer } from "../../src/network/frames.ts";
import { withPeerId } from "../../src/network/identity.ts";
import { type Join, joinOver } from "../../src/network/join.ts";
import type { Node, NodeOptions } from "../../src/network/node.ts";
import type { PeerKey, RequestOptions } from "../../src/network/transport.ts";
import { seededRandom } from "./arbitraries.ts";
import type { FakeClock } from "./fake-clock.ts";
import { type Attached, attach, remember } from "./memory-node.ts";

export interface Faults {
  /** One way, least and most; each message draws its own, so messages overtake each other. */
  delayMs: readonly [least: number, most: number];
  /** Share of messages that never arrive: gossip, requests and answers alike. */
  loss: number;
  /** Share of gossip messages that a peer gets to see twice. */
  duplication: number;
}

export interface Passing {
  readonly from: PeerKey;
  readonly to: PeerKey;
  readonly channel: "gossip" | "request" | "answer";
  /** Empty for gossip. */
  readonly protocol: string;
  readonly bytes: Uint8Array;
}

export type Fate = "lose" | { readonly delayMs: number };

export interface MemoryNetwork {
  readonly join: Join;
  startNode(options: NodeOptions): Promise<Node>;
  readonly faults: Faults;
  /** Decides single messages; what it leaves undefined is left to `faults`. */
  rule: ((message: Passing) => Fate | undefined) | undefined;
  /** Only nodes of one group reach each other; nodes named in no group form one more. */
  partition(...groups: readonly (readonly PeerKey[])[]): void;
  heal(): void;
  /** The power is cut: nothing leaves the node any more and nothing answers there. */
  kill(peer: PeerKey): void;
  /** What handlers threw that is no BridgeError: bugs, which a caller only sees as `unreachable`. */
  readonly bugs: readonly unknown[];
  readonly counts: { sent: number; lost: number };
}

export function memoryNetwork(clock: FakeClock, seed: number): MemoryNetwork {
  const below = seededRandom(seed);
  const chance = (share: number): boolean => share > 0 && below(1_000_000) < share * 1_000_000;
  const nodes = new Map<PeerKey, Attached>();
  const groupOf = new Map<PeerKey, number>();
  const bugs: unknown[] = [];
  const counts = { sent: 0, lost: 0 };

  const network: MemoryNetwork = {
    join: joinOver((options) => startNode(options)),
    startNode,
    faults: { delayMs: [1, 5], loss: 0, duplication: 0 },
    rule: undefined,
    partition(...groups) {
      groupOf.clear();
      groups.forEach((group, i) => {
        for (const peer of group) groupOf.set(peer, i + 1);
      });
      for (const node of nodes.values()) {
        for (const peer of node.connected) if (!reachable(node.key, peer)) disconnect(node, peer);
      }
      connectAll();
    },
    heal: () => network.partition(),
    kill,
    bugs,
    counts,
  };
  return network;

  async function startNode(options: NodeOptions): Promise<Node> {
    const node = attach(options, clock, bar);
    const { key } = node;
    if (nodes.has(key)) throw new BridgeError("invariant", "this node is running already");
    nodes.set(key, node);
    connectAll();
    const reachedAt = options.announce.length > 0 ? options.announce : options.listen;
    return {
      self: key,
      addresses: () =>
        reachedAt.map((address) => withPeerId(address, signingKey(options.seed).publicKey)),
      peers: () => [...node.connected],
      request: (peer, protocol, body, how) => request(node, peer, protocol, body, how),
      handle: (protocol, bytesMax, handler) =>
        void node.handlers.set(protocol, { bytesMax, handler }),
      gossip: (bytes) => spread(node, bytes, undefined),
      onGossip(handler) {
        node.onGossip = handler;
      },
      onPeer: (listener) => void node.listeners.push(listener),
      bar: (peer) => bar(key, peer),
      stop: async () => kill(key),
    };
  }

  function bar(by: PeerKey, peer: PeerKey): void {
    const node = nodes.get(by);
    if (node === undefined) return;
    node.barredUntilMs.set(peer, clock.monotonicMs() + limits.BAR_MS);
    disconnect(node, peer);
    void after(limits.BAR_MS + 1, node).then(() => connectAll());
  }

  function kill(peer: PeerKey): void {
    const node = nodes.get(peer);
    if (node === undefined) return;
    nodes.delete(peer);
    node.dead.abort();
    for (const other of node.connected) disconnect(node, other);
  }

  function reachable(a: PeerKey, b: PeerKey): boolean {
    return (groupOf.get(a) ?? 0) === (groupOf.get(b) ?? 0);
  }

  function welcome(a: Attached, b: Attached): boolean {
    const now = clock.monotonicMs();
    const barred = (by: Attached, peer: PeerKey) => (by.barredUntilMs.get(peer) ?? 0) > now;
    return reachable(a.key, b.key) && !barred(a, b.key) && !barred(b, a.key);
  }

  /** Every node dials its bootstrap peers until it has them; here, whenever something has changed. */
  function connectAll(): void {
    for (const node of nodes.values()) {
      for (const target of node.targets) {
        if (node.connected.has(target)) continue;
        void after(delay(), node).then(() => {
          const peer = nodes.get(target);
          if (!node.dead.signal.aborted && peer !== undefined) connect(node, peer);
        });
      }
    }
  }

  function connect(a: Attached, b: Attached): boolean {
    if (a.connected.has(b.key)) return true;
    if (!welcome(a, b) || b.options.listen.length === 0) return false;
    a.connected.add(b.key);
    b.connected.add(a.key);
    for (const listener of a.listeners) listener(b.key);
    for (const listener of b.listeners) listener(a.key);
    return true;
  }

  function disconnect(node: Attached, peer: PeerKey): void {
    node.connected.delete(peer);
    nodes.get(peer)?.connected.delete(node.key);
  }

  async function request(
    from: Attached,
    to: PeerKey,
    protocol: string,
    body: Uint8Array,
    { timeoutMs, signal }: RequestOptions,
  ): Promise<Uint8Array> {
    const done = new AbortController();
    const stops = [done.signal, from.dead.signal, ...(signal === undefined ? [] : [signal])];
    const waited = clock.sleep(timeoutMs, AbortSignal.any(stops)).then(() => {
      if (from.dead.signal.aborted || signal?.aborted)
        throw unreachable("the request was given up");
      throw new BridgeError("timeout", `no answer within ${timeoutMs} ms`, { retry: "later" });
    });
    waited.catch(() => {}); // nobody looks at the loser of the race
    try {
      return readAnswer(await Promise.race([waited, carry(from, to, protocol, body.slice())]));
    } finally {
      done.abort();
    }
  }

  /** There and back. A lost message leaves the promise open for ever: the caller's time runs out. */
  async function carry(
    from: Attached,
    to: PeerKey,
    protocol: string,
    body: Uint8Array,
  ): Promise<Uint8Array> {
    await travel({ from: from.key, to, channel: "request", protocol, bytes: body });
    const target = nodes.get(to);
    if (target === undefined || !connect(from, target)) throw unreachable("nobody answers there");
    const served = target.handlers.get(protocol);
    if (served === undefined || body.length > served.bytesMax) throw unreachable("stream reset");
    let bytes: Uint8Array;
    try {
      bytes = await writeAnswer(() => {
        target.letIn(from.key);
        return served.handler(from.key, body);
      });
    } catch (error) {
      if (!target.dead.signal.aborted) bugs.push(error);
      throw unreachable("stream reset");
    }
    if (target.dead.signal.aborted) throw unreachable("the peer has gone");
    await travel({ from: to, to: from.key, channel: "answer", protocol, bytes });
    if (bytes.length > limits.ANSWER_BYTES_MAX) throw unreachable("stream reset");
    return bytes;
  }

  /** To every connected peer but the one it came from. */
  function spread(node: Attached, bytes: Uint8Array, source: PeerKey | undefined): void {
    if (node.dead.signal.aborted) return;
    remember(node, bytes);
    for (const to of node.connected) {
      if (to === source) continue;
      const copies = chance(network.faults.duplication) ? 2 : 1;
      for (let copy = 1; copy <= copies; copy += 1) {
        void travel({ from: node.key, to, channel: "gossip", protocol: "", bytes }).then(() =>
          hear(to, node.key, bytes, copy > 1),
        );
      }
    }
  }

  function hear(to: PeerKey, from: PeerKey, bytes: Uint8Array, again: boolean): void {
    const node = nodes.get(to);
    if (node === undefined || !node.connected.has(from)) return;
    if (bytes.length > limits.RECORD_BYTES_MAX + 1024) return;
    const fresh = remember(node, bytes);
    if (!fresh && !again) return;
    try {
      const verdict = node.onGossip(from, bytes.slice());
      if (verdict === "accept" && fresh) spread(node, bytes, from); // a copy goes no further
    } catch (error) {
      bugs.push(error);
    }
  }

  /** Resolves on arrival, never when the message is lost. A partition swallows what is under way. */
  async function travel(message: Passing): Promise<void> {
    const { from, to } = message;
    counts.sent += 1;
    const fate = network.rule?.(message);
    const lost = fate === "lose" || (fate === undefined && chance(network.faults.loss));
    const delayMs = typeof fate === "object" ? fate.delayMs : delay();
    if (!lost && reachable(from, to)) await clock.sleep(delayMs);
    if (!lost && reachable(from, to)) return;
    counts.lost += 1;
    await new Promise(() => {});
  }

  function after(delayMs: number, node: Attached): Promise<void> {
    return clock.sleep(delayMs, node.dead.signal);
  }

  function delay(): number {
    const [least, most] = network.faults.delayMs;
    return least + below(Math.max(1, most - least + 1));
  }
}

function unreachable(message: string): BridgeError {
  return new BridgeError("unreachable", message, { retry: "later" });
}
