/** Real libp2p nodes on loopback, with or without a replica of notes on top. */
import { must } from "../../src/base/assert.ts";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { randomSeed } from "../../src/base/ed25519.ts";
import { silentLogger } from "../../src/base/log.ts";
import { type Node, startNode } from "../../src/network/node.ts";
import { type Replica, startReplica } from "../../src/network/replica.ts";
import { type NoteLimits, type NoteStore, noteStore } from "./notes.ts";

export interface RealNodeOptions {
  readonly seed?: Uint8Array;
  readonly listen?: readonly string[];
  readonly announce?: readonly string[];
  readonly bootstrap?: readonly string[];
  readonly clock?: Clock;
}

/** Nodes of one test file; `stopAll` belongs in its afterEach. */
export interface RealNodes {
  start(options?: RealNodeOptions): Promise<Node>;
  replica(options?: RealNodeOptions & NoteLimits): Promise<RealPeer>;
  stopAll(): Promise<void>;
}

export interface RealPeer extends NoteStore {
  readonly node: Node;
  readonly replica: Replica;
}

export function realNodes(): RealNodes {
  const stops: (() => Promise<void>)[] = [];
  const start = async (options: RealNodeOptions = {}): Promise<Node> => {
    const node = await startNode({
      seed: options.seed ?? randomSeed(),
      listen: options.listen ?? ["/ip4/127.0.0.1/tcp/0"],
      announce: options.announce ?? [],
      bootstrap: options.bootstrap ?? [],
      topic: "/compute-bridge/test/records/1",
      log: silentLogger,
      clock: options.clock ?? systemClock,
    });
    stops.push(() => node.stop());
    return node;
  };
  return {
    start,
    async replica(options = {}) {
      const box = noteStore(options);
      const node = await start(options);
      const replica = startReplica({
        transport: node,
        store: box.store,
        relays: new Set<string>(),
        clock: options.clock ?? systemClock,
        log: silentLogger,
        bar: (peer) => node.bar(peer),
      });
      stops.push(async () => replica.stop());
      return Object.assign(box, { node, replica });
    },
    async stopAll() {
      for (const stop of stops.splice(0).reverse()) await stop();
    },
  };
}

/** Timers run in real time, but to those who measure how long something lasts only the test moves time on. */
export function heldClock(): Clock & { elapsedMs: number } {
  const clock = { ...systemClock, elapsedMs: 0, monotonicMs: () => clock.elapsedMs };
  return clock;
}

export function addressOf(node: Node): string {
  return must(node.addresses()[0], "the node listens");
}
