/** The direct transport: the message reaches the members, is judged like any record, and the caller hears why not. */

import { describe, expect, test } from "bun:test";
import { codeOf } from "../../src/base/errors.ts";
import { REQUEST_BYTES_MAX } from "../../src/base/limits.ts";
import { silentLogger } from "../../src/base/log.ts";
import type { Node } from "../../src/network/node.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { packRequest } from "../../src/zipnet/message.ts";
import {
  DIRECT_NOTICE,
  DIRECT_PROTOCOL,
  directTransport,
  serveDirect,
} from "../../src/zipnet/transport.ts";
import { type RecordBook, recordBook, tickTo } from "../coalition/book.ts";
import { bareNode, world } from "../network/peers.ts";
import { testOrder } from "../support/actors.ts";
import { secretsOf, testCeremony } from "../support/coalition.ts";

const ceremony = testCeremony();
const { coalition } = ceremony;
const never = new AbortController().signal;

async function committee() {
  const at = world();
  const members: { readonly node: Node; readonly book: RecordBook }[] = [];
  for (const { index } of coalition.members) {
    const book = recordBook(coalition);
    tickTo(book, 10);
    const node = await at.network.startNode({
      seed: secretsOf(ceremony, index).seed,
      listen: ["/ip4/127.0.0.1/tcp/1"],
      announce: [],
      bootstrap: coalition.members.flatMap(({ addresses }) => addresses),
      topic: "test",
      clock: at.clock,
      log: silentLogger,
    });
    serveDirect(node, book.store, silentLogger);
    members.push({ node, book });
  }
  await at.clock.advance(50);
  const requester = await bareNode(at, "requester");
  const send = (message: Uint8Array): Promise<string> =>
    at.clock.run(
      directTransport(requester, coalition)
        .send(message, never)
        .then(
          () => "taken",
          (error: unknown) => `${codeOf(error)}, ${codeOf((error as Error).cause)}`,
        ),
      60_000,
    );
  return {
    ...at,
    members,
    requester,
    send,
    held: () => members.map(({ book }) => book.records.requests.size),
  };
}

describe("the direct transport", () => {
  const message = () => packRequest(composeRequest(coalition, testOrder(), 10).record);

  test("brings a request to the members", async () => {
    const { send, held } = await committee();
    expect(await send(message())).toBe("taken");
    expect(held()).toEqual([1, 1, 1]);
  });

  test("is content with one member, and gossip tells the others", async () => {
    const { send, held, network, clock, members, requester } = await committee();
    network.rule = ({ from, to }) =>
      from === requester.self && to !== members[1]?.node.self ? "lose" : undefined;
    for (const { node, book } of members) {
      node.onGossip((_, bytes) => {
        book.store.offer(bytes);
        return "accept";
      });
    }
    expect(await send(message())).toBe("taken");
    await clock.advance(100);
    expect(held()).toEqual([1, 1, 1]);
  });

  test("sending again what is there already is no error", async () => {
    const { send, held } = await committee();
    const same = message();
    expect([await send(same), await send(same)]).toEqual(["taken", "taken"]);
    expect(held()).toEqual([1, 1, 1]);
  });

  test("says that nobody could be reached", async () => {
    const { send, network, requester } = await committee();
    network.partition([requester.self]);
    expect(await send(message())).toBe("unreachable, timeout");
  });

  test("says why the members refuse", async () => {
    const { send, held } = await committee();
    const { record } = composeRequest(coalition, testOrder(), 10);
    const { record: early } = composeRequest(coalition, testOrder(), 900);
    const cases: readonly [message: Uint8Array, code: string][] = [
      [new Uint8Array(REQUEST_BYTES_MAX), "malformed"],
      [packRequest(record).subarray(1), "malformed"],
      [packRequest({ ...record, signature: new Uint8Array(64).fill(1) }), "bad-signature"],
      [packRequest({ ...record, signature: early.signature }), "bad-signature"],
      [packRequest(early), "lacks-context"],
    ];
    for (const [bytes, code] of cases) expect(await send(bytes)).toStartWith(`${code}, `);
    expect(held()).toEqual([0, 0, 0]);
  });

  test("a message above the one size is cut off", async () => {
    const { clock, requester, members } = await committee();
    const large = requester
      .request(
        members[0]?.node.self ?? "",
        DIRECT_PROTOCOL,
        new Uint8Array(REQUEST_BYTES_MAX + 1),
        { timeoutMs: 100 },
      )
      .then(() => "served", codeOf);
    expect(await clock.run(large, 1000)).toBe("unreachable");
  });

  test("says plainly what it hides and what it does not", async () => {
    const { requester } = await committee();
    const transport = directTransport(requester, coalition);
    expect([transport.name, transport.hides]).toEqual([
      "direct",
      { content: true, sender: false },
    ] as never);
    expect(transport.notice).toBe(DIRECT_NOTICE);
    expect(DIRECT_NOTICE).toMatch(/see which address/);
  });
});
