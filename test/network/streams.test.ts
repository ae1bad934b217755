/** Streams are used again, and never for the wrong answer. Over real libp2p connections. */
import { afterEach, describe, expect, test } from "bun:test";
import type { Stream } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { asCrypto, defaultCrypto } from "@libp2p/noise/crypto";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { createLibp2p, type Libp2p } from "libp2p";
import { utf8 } from "../../src/base/bytes.ts";
import { IDLE_STREAM_MS, IDLE_STREAMS_MAX } from "../../src/base/limits.ts";
import { answerAll } from "../../src/network/frames.ts";
import { keptStreams } from "../../src/network/streams.ts";
import { eventually } from "../support/eventually.ts";

const PROTOCOL = "/compute-bridge/test-streams/1";
const NEVER = new AbortController().signal;
const started: Libp2p[] = [];
afterEach(async () => {
  for (const node of started.splice(0).reverse()) await node.stop();
});

async function libp2p(listen: string[]): Promise<Libp2p> {
  const { chaCha20Poly1305Encrypt, chaCha20Poly1305Decrypt } = asCrypto;
  const crypto = { ...defaultCrypto, chaCha20Poly1305Encrypt, chaCha20Poly1305Decrypt };
  const node = await createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise({ crypto })],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
  });
  started.push(node);
  return node;
}

interface Pair {
  /** The answer to one request, as text. */
  ask(text: string, signal?: AbortSignal): Promise<string>;
  /** Streams opened so far. */
  opened(): number;
  /** The server's ends of the streams that are open. */
  readonly serving: Set<Stream>;
  nowMs: number;
}

/** A client over keptStreams, and a server that answers with what `respond` makes of the text. */
async function pair(respond: (text: string) => Promise<string> | string): Promise<Pair> {
  const server = await libp2p(["/ip4/127.0.0.1/tcp/0"]);
  const client = await libp2p([]);
  const serving = new Set<Stream>();
  await server.handle(PROTOCOL, async (stream) => {
    serving.add(stream);
    stream.addEventListener("close", () => serving.delete(stream));
    await answerAll(stream, 1000, async (body) =>
      utf8(await respond(Buffer.from(body).toString())),
    ).catch((error: Error) => stream.abort(error));
  });
  let opened = 0;
  const made: Pair = {
    nowMs: 0,
    serving,
    opened: () => opened,
    async ask(text, signal = NEVER) {
      const answer = await streams.exchange("server", PROTOCOL, utf8(text), signal);
      return Buffer.from(answer.subarray(1)).toString(); // the first byte says that it is an answer
    },
  };
  const streams = keptStreams(
    async (_peer, protocol, signal) => {
      opened += 1;
      return await client.dialProtocol(server.getMultiaddrs(), protocol, { signal });
    },
    () => made.nowMs,
  );
  return made;
}

describe("streams", () => {
  test("one after another, all requests use one stream", async () => {
    const { ask, opened } = await pair((text) => `${text}!`);
    for (let i = 0; i < 20; i += 1) expect(await ask(`request ${i}`)).toBe(`request ${i}!`);
    expect(opened()).toBe(1);
  });

  test("side by side each has its own, gets its own answer, and only a few are kept", async () => {
    const { ask, opened, serving } = await pair(async (text) => {
      await Bun.sleep(text.length);
      return text.toUpperCase();
    });
    await ask("connect");
    const texts = Array.from({ length: 3 * IDLE_STREAMS_MAX }, (_, i) => "x".repeat(40 - i));
    const answers = await Promise.all(texts.map((text) => ask(text)));
    expect(answers).toEqual(texts.map((text) => text.toUpperCase()));
    expect(opened()).toBe(texts.length);
    await eventually("the rest to close", () => serving.size === IDLE_STREAMS_MAX);
  });

  test("a request given up takes its stream with it: its late answer is nobody's", async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { ask, opened } = await pair(async (text) => {
      if (text === "slow") await held;
      return text;
    });
    await ask("first");
    const giveUp = new AbortController();
    const slow = ask("slow", giveUp.signal).catch((error: Error) => error);
    giveUp.abort();
    expect(await slow).toBeInstanceOf(Error);
    const next = ask("next");
    release();
    expect(await next).toBe("next");
    expect(opened()).toBe(2);
  });

  test("a stream the peer let go of is replaced, and the caller does not notice", async () => {
    const { ask, opened, serving } = await pair((text) => text);
    expect(await ask("one")).toBe("one");
    for (const stream of serving) stream.abort(new Error("gone"));
    expect(await ask("two")).toBe("two");
    expect(opened()).toBe(2);
  });

  test("a request that fails on a new stream is not made again", async () => {
    let asked = 0;
    const { ask, serving } = await pair((text) => {
      asked += 1;
      for (const stream of serving) stream.abort(new Error("gone"));
      return text;
    });
    await expect(ask("one")).rejects.toThrow();
    expect(asked).toBe(1);
  });

  test("a stream that has been idle for long is not used again", async () => {
    const made = await pair((text) => text);
    await made.ask("one");
    made.nowMs += IDLE_STREAM_MS / 2;
    expect(await made.ask("two")).toBe("two");
    expect(made.opened()).toBe(2);
    await eventually("the old one to close", () => made.serving.size === 1);
  });
});
