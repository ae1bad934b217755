/** Nodes with names on the in-memory network, with or without a replica of notes on top. */
import { toHex } from "../../src/base/bytes.ts";
import { silentLogger } from "../../src/base/log.ts";
import { withPeerId } from "../../src/network/identity.ts";
import type { Node } from "../../src/network/node.ts";
import { type Replica, startReplica } from "../../src/network/replica.ts";
import { keyNamed, seedNamed } from "../support/coalition.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { type MemoryNetwork, memoryNetwork } from "../support/memory-network.ts";
import { type NoteLimits, type NoteStore, noteStore } from "./notes.ts";

export interface World {
  readonly clock: FakeClock;
  readonly network: MemoryNetwork;
}

export function world(seed = 1): World {
  const clock = fakeClock();
  return { clock, network: memoryNetwork(clock, seed) };
}

export function addressOf(name: string): string {
  return withPeerId("/ip4/127.0.0.1/tcp/4001", keyNamed(name).publicKey);
}

export function bareNode(
  { clock, network }: World,
  name: string,
  bootstrap: readonly string[] = [],
): Promise<Node> {
  return network.startNode({
    seed: seedNamed(name),
    listen: ["/ip4/127.0.0.1/tcp/4001"],
    announce: [],
    bootstrap: bootstrap.map(addressOf),
    topic: "/compute-bridge/test/records/1",
    clock,
    log: silentLogger,
  });
}

export interface Peer extends NoteStore {
  readonly node: Node;
  readonly replica: Replica;
  /** Peers this one has barred, in order. */
  readonly barred: readonly string[];
}

export async function peer(
  at: World,
  name: string,
  bootstrap: readonly string[] = [],
  limits: NoteLimits & { readonly relays?: readonly string[] } = {},
): Promise<Peer> {
  const box = noteStore(limits);
  const node = await bareNode(at, name, bootstrap);
  const barred: string[] = [];
  const replica = startReplica({
    transport: node,
    store: box.store,
    relays: new Set(limits.relays?.map((relay) => toHex(keyNamed(relay).publicKey))),
    clock: at.clock,
    log: silentLogger,
    bar(other) {
      barred.push(other);
      node.bar(other);
    },
  });
  return Object.assign(box, { node, replica, barred });
}
