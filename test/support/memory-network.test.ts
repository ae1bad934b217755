import { describe, expect, test } from "bun:test";
import { BridgeError, codeOf } from "../../src/base/errors.ts";
import { RECORD_BYTES_MAX } from "../../src/base/limits.ts";
import type { Node } from "../../src/network/node.ts";
import { bareNode, type World, world } from "../network/peers.ts";

const NAMES = ["ann", "ben", "cas"];
const body = new Uint8Array([1, 2, 3]);

async function three(at: World): Promise<[Node, Node, Node]> {
  const [ann, ben, cas] = [
    await bareNode(at, "ann", NAMES),
    await bareNode(at, "ben", NAMES),
    await bareNode(at, "cas", NAMES),
  ];
  await at.clock.advance(100);
  return [ann, ben, cas];
}

function echo(node: Node): void {
  node.handle("/echo/1", 100, (_, bytes) => bytes);
}

function ask(at: World, from: Node, to: Node, timeoutMs = 1000): Promise<string> {
  const answer = from.request(to.self, "/echo/1", body, { timeoutMs }).then(
    (bytes) => `${bytes.length} bytes`,
    (error: unknown) => codeOf(error),
  );
  return at.clock.run(answer, 60_000);
}

/** What each node hears of what the first one says. */
async function heardOf(at: World, [ann, ben, cas]: [Node, Node, Node]): Promise<number[]> {
  const heard = [0, 0, 0];
  [ann, ben, cas].forEach((node, i) => {
    node.onGossip(() => {
      heard[i] = (heard[i] ?? 0) + 1;
      return "accept";
    });
  });
  ann.gossip(body);
  await at.clock.advance(100);
  return heard;
}

describe("the network in memory", () => {
  test("connects everybody to their bootstrap peers and tells both sides", async () => {
    const at = world();
    const ann = await bareNode(at, "ann");
    const ben = await bareNode(at, "ben", ["ann"]);
    const met: string[] = [];
    ann.onPeer((peer) => met.push(`ann met ${peer === ben.self ? "ben" : "?"}`));
    ben.onPeer((peer) => met.push(`ben met ${peer === ann.self ? "ann" : "?"}`));
    await at.clock.advance(10);
    expect(met.sort()).toEqual(["ann met ben", "ben met ann"]);
    expect([ann.peers(), ben.peers()]).toEqual([[ben.self], [ann.self]]);
  });

  test("carries requests, answers and codes, and times out on the test's clock", async () => {
    const at = world();
    const [ann, ben] = await three(at);
    expect(await ask(at, ann, ben)).toBe("unreachable"); // nobody handles it yet
    echo(ben);
    expect(await ask(at, ann, ben)).toBe("3 bytes");
    ben.handle("/echo/1", 100, () => {
      throw new BridgeError("stale-epoch", "no");
    });
    expect(await ask(at, ann, ben)).toBe("stale-epoch");
    ben.handle("/echo/1", 100, () => new Promise(() => {}));
    const before = at.clock.monotonicMs();
    expect(await ask(at, ann, ben)).toBe("timeout");
    expect(at.clock.monotonicMs() - before).toBe(1000);
  });

  test("floods gossip to everybody, once", async () => {
    const at = world();
    expect(await heardOf(at, await three(at))).toEqual([0, 1, 1]);
  });

  test("gossip goes no further than a node that does not accept it", async () => {
    const at = world();
    const line: [Node, Node, Node] = [
      await bareNode(at, "ann"),
      await bareNode(at, "ben", ["ann"]),
      await bareNode(at, "cas", ["ben"]),
    ];
    await at.clock.advance(100);
    expect(await heardOf(at, line)).toEqual([0, 1, 1]);
    line[1].onGossip(() => "ignore");
    let last = 0;
    line[2].onGossip(() => {
      last += 1;
      return "accept";
    });
    line[0].gossip(new Uint8Array([9]));
    await at.clock.advance(100);
    expect(last).toBe(0);
  });

  test("drops gossip above what gossipsub would carry", async () => {
    const at = world();
    const [ann, ben] = await three(at);
    let heard = 0;
    ben.onGossip(() => {
      heard += 1;
      return "ignore";
    });
    ann.gossip(new Uint8Array(RECORD_BYTES_MAX + 1025));
    await at.clock.advance(100);
    expect(heard).toBe(0);
  });

  test("a partition separates, swallows what is under way, and heals", async () => {
    const at = world();
    const [ann, ben, cas] = await three(at);
    echo(ben);
    echo(cas);
    const underWay = ask(at, ann, cas, 300);
    at.network.partition([ann.self, ben.self]);
    expect(await underWay).toBe("timeout");
    expect(await ask(at, ann, ben)).toBe("3 bytes");
    expect(await ask(at, ann, cas)).toBe("timeout");
    expect([ann.peers(), cas.peers()]).toEqual([[ben.self], []]);
    at.network.heal();
    await at.clock.advance(10);
    expect(await ask(at, ann, cas)).toBe("3 bytes");
  });

  test("a killed node is gone at once and may come back", async () => {
    const at = world();
    const [ann, ben] = await three(at);
    echo(ben);
    at.network.kill(ben.self);
    expect(await ask(at, ann, ben)).toBe("unreachable");
    expect(ann.peers()).not.toContain(ben.self);
    echo(await bareNode(at, "ben", NAMES));
    await at.clock.advance(10);
    expect(await ask(at, ann, ben)).toBe("3 bytes");
  });

  test("loses and repeats by chance, the same for the same seed", async () => {
    const run = async (seed: number): Promise<number[]> => {
      const at = world(seed);
      const nodes = await three(at);
      Object.assign(at.network.faults, { loss: 0.5, duplication: 0.5 });
      const rounds: number[] = [];
      for (let i = 0; i < 20; i += 1) rounds.push(...(await heardOf(at, nodes)));
      return [...rounds, at.network.counts.lost];
    };
    expect(await run(4)).toEqual(await run(4));
    expect(await run(4)).not.toEqual(await run(5));
  });

  test("a rule decides single messages", async () => {
    const at = world();
    const [ann, ben, cas] = await three(at);
    echo(ben);
    echo(cas);
    at.network.rule = ({ to, channel }) =>
      channel === "answer" ? { delayMs: 400 } : to === cas.self ? "lose" : undefined;
    const before = at.clock.monotonicMs();
    expect(await ask(at, ann, ben)).toBe("3 bytes");
    expect(at.clock.monotonicMs() - before).toBeGreaterThanOrEqual(400);
    expect(await ask(at, ann, cas)).toBe("timeout");
  });

  test("keeps what a handler threw by mistake, for the test to look at", async () => {
    const at = world();
    const [ann, ben] = await three(at);
    ben.handle("/echo/1", 100, () => {
      throw new TypeError("a bug");
    });
    expect(await ask(at, ann, ben)).toBe("unreachable");
    expect(String(at.network.bugs[0])).toContain("a bug");
  });
});
