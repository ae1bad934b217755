/** Peers that send too much, or what cannot be honest: held back, then barred, while everybody else is served. */
import { describe, expect, test } from "bun:test";
import { concat } from "../../src/base/bytes.ts";
import { decodeCanonical, encodeCanonical } from "../../src/base/canonical.ts";
import { codeOf } from "../../src/base/errors.ts";
import { sha256 } from "../../src/base/hash.ts";
import {
  BAR_MS,
  GOSSIP_BYTES_BURST,
  PEER_EXCESS_BURST,
  PEER_REQUESTS_BURST,
  STRIKES_BURST,
  SYNC_BYTES_BURST,
  SYNC_BYTES_PER_SECOND,
  SYNC_INTERVAL_MS,
} from "../../src/base/limits.ts";
import { recordId } from "../../src/network/record.ts";
import { PUT_PROTOCOL } from "../../src/network/replica.ts";
import { SYNC_PROTOCOL } from "../../src/network/sync.ts";
import { keyNamed } from "../support/coalition.ts";
import { forgedBytes, noteBytes } from "./notes.ts";
import { bareNode, peer, world } from "./peers.ts";

const writer = keyNamed("writer");

/** A victim, its honest friend, and a rogue that is connected to the victim and follows no rule. */
async function town() {
  const at = world();
  const victim = await peer(at, "victim");
  const friend = await peer(at, "friend", ["victim"]);
  const rogue = await bareNode(at, "rogue", ["victim"]);
  await at.clock.advance(100);
  const put = (bytes: Uint8Array): Promise<string> =>
    rogue.request(victim.node.self, PUT_PROTOCOL, bytes, { timeoutMs: 5000 }).then(
      () => "taken",
      (error: unknown) => codeOf(error),
    );
  return { at, victim, friend, rogue, put };
}

const forged = (i: number): Uint8Array => forgedBytes(writer, { slot: i });

/** As long as a record may be, and no record. */
function ballast(i: number): Uint8Array {
  const bytes = new Uint8Array(8192).fill(0x60);
  new DataView(bytes.buffer).setUint32(0, i);
  return bytes;
}

describe("forged gossip", () => {
  test("is not stored nor passed on; its sender is barred after a few, and let in again later", async () => {
    const { at, victim, friend, rogue } = await town();
    for (let i = 0; i < 3 * STRIKES_BURST; i += 1) rogue.gossip(forged(i));
    await at.clock.advance(200);
    expect(victim.barred).toContain(rogue.self);
    expect(victim.replica.refusals.get("bad-signature")).toBe(STRIKES_BURST + 1);
    expect(victim.node.peers()).toEqual([friend.node.self]);
    expect([victim.notes.size, friend.notes.size, friend.barred.length]).toEqual([0, 0, 0]);

    friend.store.offer(noteBytes(writer, { slot: 99 }));
    friend.node.gossip(noteBytes(writer, { slot: 99 }));
    await at.clock.advance(100);
    expect(victim.notes.size).toBe(1);

    await at.clock.advance(BAR_MS);
    expect(victim.node.peers()).toContain(rogue.self);
  });

  test("a few bad records, one build's mistake, bar nobody", async () => {
    const { at, victim, rogue } = await town();
    for (let i = 0; i < 40; i += 1) {
      rogue.gossip(forged(i));
      await at.clock.advance(SYNC_INTERVAL_MS * 2); // slower than strikes are forgotten
    }
    expect(victim.barred).toEqual([]);
  });

  test("what an honest peer may send by being early or late never counts against it", async () => {
    const { at, victim, rogue } = await town();
    victim.tick = 10;
    victim.store.offer(noteBytes(writer, { slot: 0, rank: 9 }));
    for (let i = 0; i < 200; i += 1) {
      rogue.gossip(noteBytes(writer, { slot: 0, rank: 1, text: `${i}` })); // stale
      rogue.gossip(noteBytes(writer, { slot: 1, untilTick: 1, text: `${i}` })); // expired
      rogue.gossip(noteBytes(writer, { slot: 500 + i, after: 400 })); // lacks context
    }
    await at.clock.advance(1000);
    expect(victim.barred).toEqual([]);
    expect(Object.fromEntries(victim.replica.refusals)).toEqual({
      "stale-epoch": 200,
      expired: 200,
      "lacks-context": 200,
    });
  });
});

describe("too much", () => {
  test("gossip above the byte rate is not even looked at, and then its sender is barred", async () => {
    const { at, victim, rogue } = await town();
    const count = Math.ceil(GOSSIP_BYTES_BURST / 8192) + 2 * STRIKES_BURST;
    const record = noteBytes(writer, { slot: 1 });
    Object.assign(victim.store, { offer: () => ({ fresh: false, kind: "note" }) }); // nothing else to object to
    for (let i = 0; i < count; i += 1) rogue.gossip(ballast(i));
    rogue.gossip(record);
    await at.clock.advance(1000);
    expect(victim.replica.refusals.get("rate-limited")).toBe(STRIKES_BURST + 1);
    expect(victim.barred).toContain(rogue.self);
  });

  test("puts above the request rate are refused, then their sender is barred; others are still served", async () => {
    const { at, victim, friend, rogue, put } = await town();
    const codes: Record<string, number> = {};
    const flood = Array.from(
      { length: PEER_REQUESTS_BURST + PEER_EXCESS_BURST + 200 },
      async () => {
        const code = await put(noteBytes(writer, { slot: 7 }));
        codes[code] = (codes[code] ?? 0) + 1;
      },
    );
    await at.clock.run(Promise.all(flood), 60_000);
    expect([codes.taken, codes["rate-limited"]]).toEqual([
      PEER_REQUESTS_BURST,
      PEER_EXCESS_BURST + 1,
    ]);
    expect(victim.node.peers()).not.toContain(rogue.self); // the rest met a closed door
    expect(victim.notes.size).toBe(1);
    const answer = friend.node.request(
      victim.node.self,
      PUT_PROTOCOL,
      noteBytes(writer, { slot: 8 }),
      { timeoutMs: 1000 },
    );
    await at.clock.run(answer, 2000);
    expect(victim.notes.size).toBe(2);
  });

  test("puts of forged records end with a bar", async () => {
    const { at, victim, rogue, put } = await town();
    const codes: string[] = [];
    for (let i = 0; i < STRIKES_BURST + 5; i += 1)
      codes.push(await at.clock.run(put(forged(i)), 9000));
    expect(codes.slice(0, STRIKES_BURST)).toEqual(Array(STRIKES_BURST).fill("bad-signature"));
    expect(codes.at(-1)).toBe("unreachable");
    expect(victim.barred).toContain(rogue.self);
  });

  test("one signer fills its own quota, not the collection", async () => {
    const at = world();
    const victim = await peer(at, "victim", [], { perSigner: 5 });
    const rogue = await bareNode(at, "rogue", ["victim"]);
    await at.clock.advance(100);
    for (let slot = 0; slot < 500; slot += 1) rogue.gossip(noteBytes(writer, { slot }));
    await at.clock.advance(1000);
    expect([victim.notes.size, victim.replica.refusals.get("over-quota")]).toEqual([5, 495]);
  });
});

test("a peer that serves garbage in sync is barred within one pull", async () => {
  const { at, victim, rogue } = await town();
  const lies = Array.from({ length: 1000 }, (_, i) => forged(i));
  let served = 0;
  rogue.handle(SYNC_PROTOCOL, 64 * 1024, (_, body) => {
    const { want } = decodeCanonical(body, 64 * 1024) as { want: string };
    if (want === "roots") {
      return encodeCanonical([{ kind: "note", root: new Uint8Array(16), size: 1000 }]);
    }
    if (want === "buckets") return new Uint8Array(0);
    if (want === "ids") return Buffer.concat(lies.map((lie) => sha256(lie)));
    served += 1;
    return encodeCanonical(lies.slice(0, 500));
  });
  await at.clock.advance(SYNC_INTERVAL_MS * 1.5);
  expect(victim.barred).toContain(rogue.self);
  expect(victim.replica.refusals.get("bad-signature")).toBe(STRIKES_BURST + 1);
  expect([served, victim.notes.size]).toEqual([1, 0]);
});

describe("a peer's quota", () => {
  const slots = [0, 1, 2, 3];
  const spread = async (relays: readonly string[]) => {
    const at = world();
    const victim = await peer(at, "victim", [], { perPeerMax: 2, relays });
    const source = await peer(at, "source", ["victim"]);
    for (const slot of slots) source.store.offer(noteBytes(writer, { slot }));
    await at.clock.advance(2 * SYNC_INTERVAL_MS);
    return { victim, source };
  };

  test("bounds what it brings by sync, and bars nobody", async () => {
    const { victim } = await spread([]);
    expect([victim.notes.size, victim.barred]).toEqual([2, []]);
    expect(victim.replica.refusals.has("over-quota")).toBe(false); // a pull names refusals, it does not blame
  });

  test("does not hold for those that pass on everybody's records", async () => {
    const { victim } = await spread(["source"]);
    expect(victim.notes.size).toBe(slots.length);
  });
});

test("a peer that has the whole collection sent again and again is held back", async () => {
  const { at, victim, rogue } = await town();
  const text = "x".repeat(4000);
  const ids: Uint8Array[] = [];
  for (let slot = 0; slot < 180; slot += 1) {
    const bytes = noteBytes(writer, { slot, text });
    victim.store.offer(bytes);
    ids.push(recordId(bytes));
  }
  const body = encodeCanonical({ want: "records", kind: "note", of: concat(...ids) });
  let served = 0;
  const codes = new Set<string>();
  for (let i = 0; i < 240; i += 1) {
    const answer = rogue.request(victim.node.self, SYNC_PROTOCOL, body, { timeoutMs: 5000 });
    await at.clock
      .run(answer, 10_000, "an answer")
      .then(({ length }) => {
        served += length;
      })
      .catch((error: unknown) => codes.add(codeOf(error)));
  }
  expect([...codes]).toEqual(["rate-limited"]);
  expect(served).toBeLessThan(SYNC_BYTES_BURST + 20 * SYNC_BYTES_PER_SECOND);
});
