/** Replicas over real sockets: what the in-memory network cannot show. */
import { afterEach, describe, expect, test } from "bun:test";
import { codeOf, type ErrorCode } from "../../src/base/errors.ts";
import { RECORD_BYTES_MAX, STRIKES_BURST } from "../../src/base/limits.ts";
import { decodeRecord, encodeRecord, signRecord } from "../../src/network/record.ts";
import { PUT_PROTOCOL } from "../../src/network/replica.ts";
import { keyNamed } from "../support/coalition.ts";
import { eventually } from "../support/eventually.ts";
import { forgedBytes, holdings, note, noteBytes, OTHER_NETWORK } from "./notes.ts";
import { addressOf, type RealPeer, realNodes } from "./real-peers.ts";

const nodes = realNodes();
afterEach(() => nodes.stopAll());
const writer = keyNamed("writer");
const never = new AbortController().signal;

async function pair(): Promise<[RealPeer, RealPeer]> {
  const server = await nodes.replica();
  const client = await nodes.replica({ listen: [], bootstrap: [addressOf(server.node)] });
  await eventually("the connection", () => client.node.peers().length === 1);
  return [server, client];
}

test("a late joiner has all of 2,000 records after one pull", async () => {
  const server = await nodes.replica();
  for (let slot = 0; slot < 2000; slot += 1) server.store.offer(noteBytes(writer, { slot }));
  const late = await nodes.replica({ listen: [], bootstrap: [addressOf(server.node)] });
  await late.replica.converged([server.node.self], 1, never);
  expect(holdings(late)).toBe(holdings(server));
});

test("a published record arrives, and confirm waits for it", async () => {
  const [server, client] = await pair();
  const record = decodeRecord(noteBytes(writer));
  await client.replica.confirm(record, [server.node.self], 1, never);
  expect(server.notes.size).toBe(1);
  server.replica.publish(decodeRecord(noteBytes(writer, { slot: 1 })));
  await eventually("the other way", () => client.notes.size === 2);
});

describe("on the wire", () => {
  const stale = noteBytes(writer, { slot: 0, rank: 1 });
  const cases: readonly [name: string, bytes: Uint8Array, code: ErrorCode][] = [
    ["oversized", new Uint8Array(RECORD_BYTES_MAX + 1), "unreachable"],
    ["truncated", noteBytes(writer).subarray(0, 100), "malformed"],
    ["4,000 nested arrays", new Uint8Array(4000).fill(0x81), "too-deep"],
    [
      "of another network",
      encodeRecord(signRecord(writer, OTHER_NETWORK, "note", note())),
      "wrong-network",
    ],
    ["of an unknown kind", noteBytes(writer, {}, "poem"), "unknown-kind"],
    ["with a wrong signature", forgedBytes(writer), "bad-signature"],
    ["stale", stale, "stale-epoch"],
  ];
  test("every wrong record is refused with its code, and the right one after it is taken", async () => {
    const [server, client] = await pair();
    server.store.offer(noteBytes(writer, { slot: 0, rank: 2 }));
    const put = (bytes: Uint8Array): Promise<string> =>
      client.node.request(server.node.self, PUT_PROTOCOL, bytes, { timeoutMs: 10_000 }).then(
        () => "taken",
        (error: unknown) => codeOf(error),
      );
    const heard: string[] = [];
    for (const [, bytes] of cases) heard.push(await put(bytes));
    expect(heard).toEqual(cases.map(([, , code]) => code));
    expect(await put(noteBytes(writer, { slot: 1 }))).toBe("taken");
    expect(server.notes.size).toBe(2);
  });

  test("a peer that gossips forgeries loses its connection, and others keep theirs", async () => {
    const [server, friend] = await pair();
    const rogue = await nodes.start({ listen: [], bootstrap: [addressOf(server.node)] });
    await eventually("the rogue", () => server.node.peers().includes(rogue.self));
    let sent = 0;
    await eventually("the bar", () => {
      for (let i = 0; i < STRIKES_BURST && sent < 4000; i += 1) {
        sent += 1;
        rogue.gossip(forgedBytes(writer, { slot: sent }));
      }
      return (
        (server.replica.refusals.get("bad-signature") ?? 0) > STRIKES_BURST &&
        !server.node.peers().includes(rogue.self)
      );
    });
    friend.replica.publish(decodeRecord(noteBytes(writer, { slot: 5000 })));
    await eventually("the friend's record", () => server.notes.size === 1);
  });
});
