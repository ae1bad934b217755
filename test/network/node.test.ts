/** The node over real sockets: requests, gossip, dialling, and what it does about peers that misbehave. */
import { afterEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { generateKeyPair } from "@libp2p/crypto/keys";
import { noise } from "@libp2p/noise";
import { asCrypto, defaultCrypto } from "@libp2p/noise/crypto";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p, type Libp2p } from "libp2p";
import { equal, toHex } from "../../src/base/bytes.ts";
import { randomSeed, signingKey } from "../../src/base/ed25519.ts";
import { BridgeError, codeOf, type ErrorCode } from "../../src/base/errors.ts";
import { BAR_MS, PEER_EXCESS_BURST, PEER_REQUESTS_BURST } from "../../src/base/limits.ts";
import type { Node } from "../../src/network/node.ts";
import { eventually } from "../support/eventually.ts";
import { addressOf, heldClock, realNodes } from "./real-peers.ts";

const PROTOCOL = "/compute-bridge/test/1";
const nodes = realNodes();
const strangers: Libp2p[] = [];
afterEach(async () => {
  for (const stranger of strangers.splice(0)) await stranger.stop();
  await nodes.stopAll();
});

async function pair(): Promise<{ server: Node; client: Node }> {
  const server = await nodes.start();
  const client = await nodes.start({ listen: [], bootstrap: [addressOf(server)] });
  await eventually("the connection", () => server.peers().includes(client.self));
  return { server, client };
}

function ask(client: Node, server: Node, body: Uint8Array, timeoutMs = 10_000) {
  return client.request(server.self, PROTOCOL, body, { timeoutMs });
}

async function codeOfRejection(promise: Promise<unknown>): Promise<ErrorCode | undefined> {
  return await promise.then(() => undefined, codeOf);
}

/** A libp2p node that is none of ours. */
async function stranger(type: "Ed25519" | "secp256k1"): Promise<Libp2p> {
  const { chaCha20Poly1305Encrypt, chaCha20Poly1305Decrypt } = asCrypto;
  const crypto = { ...defaultCrypto, chaCha20Poly1305Encrypt, chaCha20Poly1305Decrypt };
  const node = await createLibp2p({
    privateKey: await generateKeyPair(type),
    transports: [tcp()],
    connectionEncrypters: [noise({ crypto })],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
  });
  strangers.push(node);
  return node;
}

describe("requests", () => {
  test("carry bodies of every size up to the limits, both ways", async () => {
    const { server, client } = await pair();
    server.handle(PROTOCOL, 512 * 1024, (_, body) => body);
    for (const size of [0, 1, 1200, 65_536, 512 * 1024]) {
      const body = new Uint8Array(randomBytes(size));
      expect(equal(await ask(client, server, body), body)).toBe(true);
    }
  });

  test("tell the handler who asks, by the key that signs the peer's records", async () => {
    const { server, client } = await pair();
    server.handle(PROTOCOL, 100, (peer) => Buffer.from(peer));
    expect(Buffer.from(await ask(client, server, new Uint8Array(1))).toString()).toBe(client.self);
  });

  test("bring the handler's code to the caller, and only codes a peer may use", async () => {
    const { server, client } = await pair();
    const codes: ErrorCode[] = [
      "stale-epoch",
      "bad-share",
      "too-deep",
      "invariant",
      "journal-locked",
    ];
    let turn = 0;
    server.handle(PROTOCOL, 100, () => {
      throw new BridgeError(codes[turn++ % codes.length] ?? "invariant", "no");
    });
    const heard: unknown[] = [];
    for (const _ of codes)
      heard.push(await codeOfRejection(ask(client, server, new Uint8Array(1))));
    expect(heard).toEqual([
      "stale-epoch",
      "bad-share",
      "too-deep",
      "refused-by-peer",
      "refused-by-peer",
    ]);
  });

  test("a handler that breaks answers nothing, and the next request is served", async () => {
    const { server, client } = await pair();
    let broken = true;
    server.handle(PROTOCOL, 100, (_, body) => {
      if (broken) throw new TypeError("a bug");
      return body;
    });
    expect(await codeOfRejection(ask(client, server, new Uint8Array(1)))).toBe("unreachable");
    broken = false;
    expect((await ask(client, server, new Uint8Array(3))).length).toBe(3);
  });

  test("above the size limit, cut short, to nobody, for nothing: each ends with its code", async () => {
    const { server, client } = await pair();
    server.handle(PROTOCOL, 100, (_, body) => body);
    expect(await codeOfRejection(ask(client, server, new Uint8Array(101)))).toBe("unreachable");
    const nobody = toHex(signingKey(randomSeed()).publicKey);
    const later = { timeoutMs: 5000 };
    expect(await codeOfRejection(client.request(nobody, PROTOCOL, new Uint8Array(1), later))).toBe(
      "unreachable",
    );
    const unknown = client.request(server.self, "/nobody/serves/1", new Uint8Array(1), later);
    expect(await codeOfRejection(unknown)).toBe("unreachable");
    expect((await ask(client, server, new Uint8Array(5))).length).toBe(5);
  });

  test("that are never answered end with the caller's patience", async () => {
    const { server, client } = await pair();
    server.handle(PROTOCOL, 100, () => new Promise(() => {}));
    expect(await codeOfRejection(ask(client, server, new Uint8Array(1), 50))).toBe("timeout");
    const stop = AbortSignal.abort();
    const aborted = client.request(server.self, PROTOCOL, new Uint8Array(1), {
      timeoutMs: 5000,
      signal: stop,
    });
    expect(await codeOfRejection(aborted)).toBe("unreachable");
  });

  test("cut off in the middle of a frame leave the server as it was", async () => {
    const { server, client } = await pair();
    server.handle(PROTOCOL, 1000, (_, body) => body);
    const raw = await stranger("Ed25519");
    for (const bytes of [[], [200], [200, 1, 7, 7], [255, 255, 255, 255, 255, 255]]) {
      const stream = await raw.dialProtocol(multiaddr(addressOf(server)), PROTOCOL);
      stream.send(Uint8Array.from(bytes));
      stream.abort(new Error("cut"));
    }
    expect((await ask(client, server, new Uint8Array(5))).length).toBe(5);
  });
});

describe("peers", () => {
  test("without an ed25519 identity do not get in, and do no harm", async () => {
    const { server, client } = await pair();
    server.handle(PROTOCOL, 100, (_, body) => body);
    const odd = await stranger("secp256k1");
    const attempt = odd.dialProtocol(multiaddr(addressOf(server)), PROTOCOL);
    expect(
      await attempt.then(
        () => "in",
        () => "out",
      ),
    ).toBe("out");
    expect((await ask(client, server, new Uint8Array(5))).length).toBe(5);
  });

  test("that flood are rate limited, then barred; others are still served", async () => {
    const clock = heldClock();
    const server = await nodes.start({ clock });
    server.handle(PROTOCOL, 100, (_, body) => body);
    const [flood, friend] = [
      await nodes.start({ listen: [], bootstrap: [addressOf(server)] }),
      await nodes.start({ listen: [], bootstrap: [addressOf(server)] }),
    ];
    await eventually("both connections", () => server.peers().length === 2);

    const codes = new Map<string, number>();
    let left = PEER_REQUESTS_BURST + PEER_EXCESS_BURST + 200;
    const worker = async (): Promise<void> => {
      while (left-- > 0 && !codes.has("unreachable")) {
        const code = (await codeOfRejection(ask(flood, server, new Uint8Array(1)))) ?? "served";
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 32 }, worker));
    expect(codes.get("served")).toBe(PEER_REQUESTS_BURST);
    expect(codes.get("rate-limited")).toBeGreaterThan(PEER_EXCESS_BURST - 64); // the bar cuts the last ones off
    await eventually("the bar", () => !server.peers().includes(flood.self));
    expect((await ask(friend, server, new Uint8Array(5))).length).toBe(5);
    clock.elapsedMs += BAR_MS + 1;
    await eventually("its return", () => server.peers().includes(flood.self));
  });

  test("that are barred are not dialled again until the bar is over", async () => {
    const clock = heldClock();
    const server = await nodes.start();
    server.handle(PROTOCOL, 100, (_, body) => body);
    const client = await nodes.start({ listen: [], bootstrap: [addressOf(server)], clock });
    await eventually("the connection", () => client.peers().includes(server.self));
    client.bar(server.self);
    await eventually("the end of it", () => !client.peers().includes(server.self));
    expect(await codeOfRejection(ask(client, server, new Uint8Array(1), 2000))).toBe("unreachable");
    expect(client.peers()).toEqual([]);
    clock.elapsedMs += BAR_MS + 1;
    await eventually("the next connection", () => client.peers().includes(server.self));
    expect((await ask(client, server, new Uint8Array(5))).length).toBe(5);
  });

  test("that come back at their address are found again", async () => {
    const seed = randomSeed();
    const first = await nodes.start({ seed });
    const address = addressOf(first);
    const client = await nodes.start({ listen: [], bootstrap: [address] });
    const met: string[] = [];
    client.onPeer((peer) => met.push(peer));
    await eventually("being told of it", () => met.length === 1);
    await first.stop();
    await eventually("the loss", () => client.peers().length === 0);
    await nodes.start({ seed, listen: [address.split("/p2p/")[0] ?? ""] });
    await eventually("the second connection", () => client.peers().includes(first.self));
    await eventually("being told twice", () => met.length === 2);
  });
});

describe("gossip", () => {
  test("goes from node to node, and no further than the first that rejects it", async () => {
    const a = await nodes.start();
    const b = await nodes.start({ bootstrap: [addressOf(a)] });
    const c = await nodes.start({ bootstrap: [addressOf(b)] });
    const heard: Record<string, string[]> = { a: [], b: [], c: [] };
    const listen = (node: Node, name: string): void =>
      node.onGossip((_, bytes) => {
        const text = Buffer.from(bytes).toString();
        heard[name]?.push(text);
        return text.startsWith("bad") ? "reject" : text.startsWith("dull") ? "ignore" : "accept";
      });
    listen(a, "a");
    listen(b, "b");
    listen(c, "c");
    await eventually("the line", () => b.peers().length === 2);
    let sent = 0;
    await eventually("the first message", () => {
      sent += 1;
      a.gossip(Buffer.from(`good ${sent}`)); // the mesh may still be forming
      return (heard.c ?? []).length > 0;
    });
    a.gossip(Buffer.from("bad"));
    a.gossip(Buffer.from("dull"));
    a.gossip(Buffer.from("good, last"));
    await eventually("the last message", () => heard.c?.includes("good, last"));
    expect(heard.b).toContain("bad");
    expect(heard.b).toContain("dull");
    expect(heard.c?.filter((text) => !text.startsWith("good"))).toEqual([]);
    expect(new Set(heard.c).size).toBe(heard.c?.length ?? 0); // each once
  });
});

test("addresses are the announced ones for a host behind NAT, else the listening ones", async () => {
  const open = await nodes.start();
  expect(addressOf(open)).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/[1-9]\d*\/p2p\/12D3/);
  const hidden = await nodes.start({ announce: ["/dns4/bridge.example/tcp/4001"] });
  expect(hidden.addresses().map((address) => address.split("/p2p/")[0])).toEqual([
    "/dns4/bridge.example/tcp/4001",
  ]);
});
