/** Replicas on a network that loses, delays, reorders and splits: they end up with the same records. */
import { describe, expect, test } from "bun:test";
import { toHex } from "../../src/base/bytes.ts";
import { codeOf } from "../../src/base/errors.ts";
import {
  PUT_MS,
  SWEEP_INTERVAL_MS,
  SYNC_INTERVAL_MS,
  SYNC_SOON_MS,
} from "../../src/base/limits.ts";
import { decodeRecord } from "../../src/network/record.ts";
import { PUT_PROTOCOL } from "../../src/network/replica.ts";
import { SYNC_PROTOCOL } from "../../src/network/sync.ts";
import { keyNamed } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { holdings, type Note, noteBytes } from "./notes.ts";
import { type Peer, peer, type World, world } from "./peers.ts";

const NAMES = ["ann", "ben", "cas", "dot", "eve"];
const never = new AbortController().signal;
const writer = keyNamed("writer");
const ROUND_MS = SYNC_INTERVAL_MS * 1.2 + 2000; // the longest wait for the next round, and the round

async function mesh(at: World, names = NAMES): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const name of names) peers.push(await peer(at, name, names));
  await at.clock.advance(100);
  return peers;
}

function publish(at: Peer | undefined, change: Partial<Note>): void {
  at?.replica.publish(decodeRecord(noteBytes(writer, change)));
}

function views(peers: readonly Peer[]): number {
  return new Set(peers.map(holdings)).size;
}

describe("replicas", () => {
  test("gossip brings a record everywhere within a few delays", async () => {
    const at = world();
    const peers = await mesh(at);
    publish(peers[0], {});
    await at.clock.advance(50);
    expect(peers.map(({ notes }) => notes.size)).toEqual([1, 1, 1, 1, 1]);
  });

  test("when all gossip is lost, the next sync brings it", async () => {
    const at = world();
    at.network.rule = ({ channel }) => (channel === "gossip" ? "lose" : undefined);
    const peers = await mesh(at);
    publish(peers[0], {});
    await at.clock.advance(1000);
    expect(peers.map(({ notes }) => notes.size)).toEqual([1, 0, 0, 0, 0]);
    await at.clock.advance(ROUND_MS);
    expect(peers.map(({ notes }) => notes.size)).toEqual([1, 1, 1, 1, 1]);
  });

  test("a late joiner gets what was said before it came, on its first connection", async () => {
    const at = world();
    const peers = await mesh(at);
    for (let slot = 0; slot < 300; slot += 1) publish(peers[slot % 5], { slot });
    await at.clock.advance(500);
    const late = await peer(at, "late", NAMES);
    await at.clock.advance(500);
    expect([late.notes.size, views([...peers, late])]).toEqual([300, 1]);
  });

  test("both sides of a partition go on, and agree after it", async () => {
    const at = world();
    const peers = await mesh(at);
    at.network.partition(peers.slice(0, 2).map(({ node }) => node.self));
    publish(peers[0], { slot: 1, text: "left" });
    publish(peers[4], { slot: 2, text: "right" });
    publish(peers[0], { slot: 3, rank: 1, text: "old" });
    publish(peers[4], { slot: 3, rank: 2, text: "new" });
    publish(peers[1], { slot: 4, text: "tie, left" });
    publish(peers[3], { slot: 4, text: "tie, right" });
    await at.clock.advance(3 * SYNC_INTERVAL_MS);
    expect(views(peers)).toBe(2);
    at.network.heal();
    await at.clock.advance(ROUND_MS);
    expect(views(peers)).toBe(1);
    const texts = [...(peers[2]?.notes.values() ?? [])].map(({ body }) => body.text).sort();
    expect(texts.filter((text) => !text.startsWith("tie"))).toEqual(["left", "new", "right"]);
    expect(peers.flatMap(({ barred }) => barred)).toEqual([]);
  });

  for (const seed of [1, 2, 3, 4, 5, 6]) {
    test(`half of all messages lost, duplicates, splits: they converge (seed ${seed})`, async () => {
      const at = world(seed);
      Object.assign(at.network.faults, { loss: 0.5, duplication: 0.2, delayMs: [1, 400] });
      const peers = await mesh(at);
      for (let i = 0; i < 60; i += 1) {
        publish(peers[(i * seed) % 5], { slot: i % 20, rank: Math.floor(i / 20) });
        if (i % 15 === 0) at.network.partition([peers[(i / 15) % 5]?.node.self ?? ""]);
        await at.clock.advance(97 * seed);
      }
      at.network.heal();
      Object.assign(at.network.faults, { loss: 0, delayMs: [1, 5] });
      await at.clock.advance(3 * ROUND_MS);
      expect([views(peers), peers[0]?.notes.size]).toEqual([1, 20]);
      expect(at.network.bugs).toEqual([]);
    });
  }

  test("a record whose context is missing makes its bearer be asked at once", async () => {
    const at = world();
    const [ann, ben] = await mesh(at, ["ann", "ben"]);
    at.network.rule = ({ channel }) => (channel === "gossip" ? "lose" : undefined);
    publish(ann, { slot: 0 });
    at.network.rule = undefined;
    publish(ann, { slot: 1, after: 0 });
    await at.clock.advance(50);
    expect([ben?.notes.size, ben?.replica.refusals.get("lacks-context")]).toEqual([0, 1]);
    await at.clock.advance(SYNC_SOON_MS + 100);
    expect(ben?.notes.size).toBe(2);
  });

  test("lapsed records go by themselves, everywhere", async () => {
    const at = world();
    const peers = await mesh(at);
    publish(peers[0], { untilTick: 3 });
    await at.clock.advance(50);
    for (const one of peers) one.tick = 4;
    await at.clock.advance(SWEEP_INTERVAL_MS * 1.3);
    expect(peers.map(({ notes }) => notes.size)).toEqual([0, 0, 0, 0, 0]);
  });

  test("what a node's own store refuses is not published", async () => {
    const at = world();
    const [ann] = await mesh(at, ["ann", "ben"]);
    const sent = at.network.counts.sent;
    expect(codeThrownBy(() => publish(ann, { text: "forbidden" }))).toBe("not-endorsed");
    expect(at.network.counts.sent).toBe(sent);
  });

  test("a stopped replica leaves no timer behind", async () => {
    const at = world();
    const peers = await mesh(at);
    for (const { replica, node } of peers) {
      replica.stop();
      await node.stop();
    }
    await at.clock.settle();
    expect(at.clock.pending).toBe(0);
  });
});

describe("confirm", () => {
  async function confirming(need: number, prepare: (peers: Peer[], at: World) => void) {
    const at = world();
    const peers = await mesh(at);
    prepare(peers, at);
    const members = peers.slice(1).map(({ node }) => node.self);
    const record = decodeRecord(noteBytes(writer, { rank: 1 }));
    const done = peers[0]?.replica.confirm(record, members, need, never) ?? Promise.reject();
    const outcome = done.then(
      () => "held",
      (error: unknown) => [codeOf(error), codeOf((error as Error).cause)],
    );
    return { at, peers, outcome: await at.clock.run(outcome, 60_000) };
  }
  const lonely = ({ network }: World, names: readonly Peer[]): void => {
    network.partition(names.map(({ node }) => node.self));
  };

  test("waits for as many peers as are needed, not for all", async () => {
    const { outcome, at } = await confirming(2, (peers, at) => lonely(at, peers.slice(3)));
    expect(outcome).toBe("held");
    expect(at.clock.monotonicMs()).toBeLessThan(1000);
  });

  test("a peer that has it already, or a newer one, counts", async () => {
    const { outcome } = await confirming(4, (peers) => {
      for (const one of peers.slice(1, 3)) one.store.offer(noteBytes(writer, { rank: 1 }));
      for (const one of peers.slice(3)) one.store.offer(noteBytes(writer, { rank: 2 }));
    });
    expect(outcome).toBe("held");
  });

  test("gives up with the reason when too few can be reached", async () => {
    const { outcome, at } = await confirming(2, (peers, at) => lonely(at, peers.slice(0, 2)));
    expect(outcome).toEqual(["timeout", "timeout"]);
    expect(at.clock.monotonicMs()).toBeLessThan(PUT_MS + 1000);
  });

  test("gives up with the peers' own reason when they refuse", async () => {
    const { outcome } = await confirming(4, (peers) => {
      for (const one of peers.slice(1)) {
        Object.assign(one.notes.spec, { recordsMax: 0 });
      }
    });
    expect(outcome).toEqual(["timeout", "over-quota"]);
  });
});

describe("converged", () => {
  test("one peer that hangs holds nobody up", async () => {
    const at = world();
    const peers = await mesh(at);
    publish(peers[1], {});
    const members = peers.slice(1).map(({ node }) => node.self);
    at.network.rule = ({ to, channel }) =>
      to === members[0] && channel === "request" ? "lose" : undefined;
    const startMs = at.clock.monotonicMs();
    await at.clock.run(peers[0]?.replica.converged(members, 3, never) ?? Promise.reject(), 60_000);
    expect(at.clock.monotonicMs() - startMs).toBeLessThan(1000);
  });

  test("a pull that began before the call does not count", async () => {
    const at = world();
    const [ann, ben] = [await peer(at, "ann", ["ben"]), await peer(at, "ben")];
    const ask = ben.node.self;
    await at.clock.advance(100);
    at.network.rule = ({ channel }) =>
      channel === "gossip" ? "lose" : channel === "answer" ? { delayMs: 500 } : undefined;
    const early = ann.replica.pullFrom(ask, never);
    await at.clock.advance(100); // its question is answered, the answer under way
    publish(ben, {});
    const converged = ann.replica.converged([ask], 1, never);
    await at.clock.run(early, 10_000);
    expect(ann.notes.size).toBe(0);
    await at.clock.run(converged, 10_000);
    expect(ann.notes.size).toBe(1);
  });

  test("a peer whose records still wait for others is asked again", async () => {
    const at = world();
    const [ann, ben] = [await peer(at, "ann", ["ben"]), await peer(at, "ben")];
    ben.store.offer(noteBytes(writer, { slot: 0 }));
    ben.store.offer(noteBytes(writer, { slot: 1, after: 0 }));
    // The first round loses sight of the first record: the second one lacks its context.
    let rounds = 0;
    const original = ann.store.offer;
    Object.assign(ann.store, {
      offer(bytes: Uint8Array) {
        rounds += 1;
        if (rounds === 1) return { fresh: false, kind: "note" };
        return original(bytes);
      },
    });
    await at.clock.run(ann.replica.converged([ben.node.self], 1, never), 10_000);
    expect(ann.notes.size).toBe(2);
  });

  test("ends when the signal aborts, whatever hangs", async () => {
    const at = world();
    const [ann, ben] = await mesh(at, ["ann", "ben"]);
    at.network.rule = ({ protocol }) => (protocol === SYNC_PROTOCOL ? "lose" : undefined);
    const stop = new AbortController();
    const waiting = ann?.replica.converged([ben?.node.self ?? ""], 1, stop.signal);
    const outcome = waiting?.then(
      () => "converged",
      (error: unknown) => String(error),
    );
    await at.clock.advance(1000);
    stop.abort("enough");
    expect(await at.clock.run(outcome ?? Promise.reject(), 10)).toBe("enough");
  });
});

test("put stores, passes on, and answers nothing", async () => {
  const at = world();
  const [ann, ben] = await mesh(at, ["ann", "ben"]);
  const stranger = await peer(at, "stranger");
  const bytes = noteBytes(writer);
  const answer = stranger.node.request(toHex(keyNamed("ann").publicKey), PUT_PROTOCOL, bytes, {
    timeoutMs: 100,
  });
  expect((await at.clock.run(answer, 200)).length).toBe(0);
  await at.clock.advance(50);
  expect([ann?.notes.size, ben?.notes.size]).toEqual([1, 1]);
});
