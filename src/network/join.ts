/** Joining a network: the node, the store and the replica together, as provider, member and requester all need them. */
import { type Bytes32, toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { Archive } from "./archive.ts";
import type { AnyCollection } from "./collection.ts";
import { peerKeyIn } from "./identity.ts";
import { type Node, type NodeOptions, startNode } from "./node.ts";
import { type Replica, startReplica } from "./replica.ts";
import { createStore } from "./store.ts";

export interface JoinOptions {
  readonly network: Bytes32;
  /** ed25519 seed: peer identity and record signer. */
  readonly seed: Uint8Array;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  /** Addresses that are kept connected; these peers pass on everybody's records. */
  readonly bootstrap: readonly string[];
  /** In the order in which records depend on each other. */
  readonly collections: readonly AnyCollection[];
  readonly tick: () => number;
  readonly archive?: Archive;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How a role joins; the simulator has a network of its own. */
export type Join = (options: JoinOptions) => Promise<Joined>;

export interface Joined {
  readonly node: Node;
  readonly replica: Replica;
  leave(): Promise<void>;
}

export const joinNetwork: Join = joinOver(startNode);

/** Joins with nodes of another kind. */
export function joinOver(start: (options: NodeOptions) => Promise<Node>): Join {
  return (options) => joinWith(start, options);
}

async function joinWith(
  start: (options: NodeOptions) => Promise<Node>,
  options: JoinOptions,
): Promise<Joined> {
  const { network, bootstrap, collections, tick, archive, clock, log } = options;
  const store = createStore({
    network,
    collections,
    tick,
    log,
    ...(archive === undefined ? {} : { archive }),
  });
  const topic = `/compute-bridge/${toHex(network).slice(0, 16)}/records/1`;
  const node = await start({ ...options, topic });
  const replica = startReplica({
    transport: node,
    store,
    relays: new Set(bootstrap.map(peerKeyIn)),
    clock,
    log,
    bar: (peer) => node.bar(peer),
  });
  return {
    node,
    replica,
    async leave() {
      replica.stop();
      await node.stop();
      archive?.close();
    },
  };
}
