/** Which record stands under a key, for how long, and how many of them one owner may hold. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { toHex } from "../../src/base/bytes.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { keyNamed } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { holdings, type Note, noteBytes, noteStore } from "./notes.ts";

const alice = keyNamed("alice");
const bob = keyNamed("bob");

function texts(box: ReturnType<typeof noteStore>): string[] {
  return [...box.notes.values()].map((entry) => entry.body.text).sort();
}

describe("one key", () => {
  test("belongs to its signer: another's record stands beside it", () => {
    const box = noteStore();
    box.store.offer(noteBytes(alice, { text: "a" }));
    box.store.offer(noteBytes(bob, { text: "b" }));
    expect(texts(box)).toEqual(["a", "b"]);
  });

  test("a higher rank replaces, a lower one is stale, the same record again is no news", () => {
    const box = noteStore();
    const [low, high] = [noteBytes(alice, { rank: 1 }), noteBytes(alice, { rank: 2 })];
    expect(box.store.offer(low).fresh).toBe(true);
    expect(box.store.offer(low).fresh).toBe(false);
    expect(box.store.offer(high).fresh).toBe(true);
    expect(codeThrownBy(() => box.store.offer(low))).toBe("stale-epoch");
    expect(box.notes.size).toBe(1);
  });

  test("of two with one rank the same one stands, whichever came first", () => {
    const pair = [noteBytes(alice, { text: "x" }), noteBytes(alice, { text: "y" })];
    const winners = [pair, pair.toReversed()].map((order) => {
      const box = noteStore();
      const codes = order.map((bytes) => codeThrownBy(() => box.store.offer(bytes)));
      expect(box.notes.size).toBe(1);
      return { text: texts(box)[0], codes: codes.filter((code) => code !== undefined) };
    });
    expect(winners[0]?.text).toBe(winners[1]?.text);
    expect(winners.flatMap((winner) => winner.codes)).toEqual(["superseded"]);
  });

  test("replicas agree whatever the order of arrival", () => {
    const slot = fc.record({ slot: fc.nat(3), rank: fc.nat(3), text: fc.string({ maxLength: 3 }) });
    const writer = fc.constantFrom(alice, bob);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(writer, slot), { minLength: 2, maxLength: 14 }).chain((records) => {
          const bytes = records.map(([key, change]) => noteBytes(key, change));
          return fc.tuple(
            fc.constant(bytes),
            fc.shuffledSubarray(bytes, { minLength: bytes.length }),
          );
        }),
        ([order, otherOrder]) => {
          const boxes = [order, otherOrder].map((records) => {
            const box = noteStore();
            for (const bytes of records) codeThrownBy(() => box.store.offer(bytes));
            return box;
          });
          expect(new Set(boxes.map(holdings)).size).toBe(1);
        },
      ),
      { numRuns: 60, seed: 3 },
    );
  });

  test("even when each record is only taken once what it refers to is there", () => {
    const chain: Partial<Note>[] = [0, 1, 2, 3].map((slot) => ({ slot, after: slot - 1 }));
    const bytes = chain.map((change) => noteBytes(alice, change));
    fc.assert(
      fc.property(fc.shuffledSubarray(bytes, { minLength: bytes.length }), (order) => {
        const box = noteStore();
        // As a replica does: what lacks its context is asked for again.
        for (let round = 0; round < order.length; round += 1) {
          for (const one of order) codeThrownBy(() => box.store.offer(one));
        }
        expect(box.notes.size).toBe(4);
      }),
      { seed: 4 },
    );
  });
});

describe("bounds", () => {
  test("a signer holds no more than its quota; replacing one is free", () => {
    const box = noteStore({ perSigner: 2 });
    const offer = (change: Partial<Note>): ErrorCode | undefined =>
      codeThrownBy(() => box.store.offer(noteBytes(alice, change)));
    expect([0, 1, 2].map((slot) => offer({ slot }))).toEqual([undefined, undefined, "over-quota"]);
    expect(offer({ slot: 1, rank: 1 })).toBeUndefined();
    expect(codeThrownBy(() => box.store.offer(noteBytes(bob)))).toBeUndefined();
    expect(box.notes.size).toBe(3);
  });

  test("the collection holds no more than its bound, and replacing goes on when it is full", () => {
    const box = noteStore({ recordsMax: 2 });
    box.store.offer(noteBytes(alice, { slot: 0 }));
    box.store.offer(noteBytes(alice, { slot: 1 }));
    expect(codeThrownBy(() => box.store.offer(noteBytes(bob)))).toBe("over-quota");
    expect(codeThrownBy(() => box.store.offer(noteBytes(alice, { rank: 1 })))).toBeUndefined();
    expect(box.notes.size).toBe(2);
  });

  test("a peer brings no more than its quota, whoever signed it; another peer and our own do not count", () => {
    const box = noteStore({ perPeerMax: 2 });
    const from = (peer: string | undefined, slot: number, key = alice): ErrorCode | undefined =>
      codeThrownBy(() => box.store.offer(noteBytes(key, { slot, untilTick: 5 }), peer));
    expect([from("p", 0), from("p", 1, bob), from("p", 2)]).toEqual([
      undefined,
      undefined,
      "over-quota",
    ]);
    expect([from("q", 2), from(undefined, 3), from(undefined, 4)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    // Replacing one of its own costs nothing, replacing another's does.
    const newer = (slot: number): Uint8Array => noteBytes(alice, { slot, rank: 1, untilTick: 9 });
    expect(codeThrownBy(() => box.store.offer(newer(0), "p"))).toBeUndefined();
    expect(codeThrownBy(() => box.store.offer(newer(2), "p"))).toBe("over-quota");
    box.tick = 6;
    box.store.sweep();
    expect(codeThrownBy(() => box.store.offer(newer(2), "p"))).toBeUndefined();
  });

  test("a refused record changes nothing", () => {
    const box = noteStore();
    box.store.offer(noteBytes(alice, { text: "kept" }));
    const version = box.notes.version;
    expect(
      codeThrownBy(() => box.store.offer(noteBytes(alice, { rank: 9, text: "forbidden" }))),
    ).toBe("not-endorsed");
    expect([texts(box), box.notes.version]).toEqual([["kept"], version]);
  });
});

describe("retention", () => {
  test("what has lapsed is refused, what lapses later goes with the sweep and frees the quota", () => {
    const box = noteStore({ perSigner: 1 });
    box.tick = 5;
    expect(codeThrownBy(() => box.store.offer(noteBytes(alice, { untilTick: 4 })))).toBe("expired");
    box.store.offer(noteBytes(alice, { untilTick: 5 }));
    box.store.sweep();
    expect(box.notes.size).toBe(1);
    box.tick = 6;
    box.store.sweep();
    expect([box.notes.size, [...box.notes.ids()].length]).toEqual([0, 0]);
    expect(codeThrownBy(() => box.store.offer(noteBytes(alice, { slot: 7 })))).toBeUndefined();
  });

  test("what has come to matter longer since it arrived is asked again before it goes", () => {
    const box = noteStore();
    const { keepUntilTick } = box.notes.spec;
    let longer = 0;
    Object.assign(box.notes.spec, {
      keepUntilTick: (body: Note, at: number) => keepUntilTick(body, at) + longer,
    });
    box.store.offer(noteBytes(alice, { untilTick: 5 }));
    longer = 10;
    for (const [tick, size] of [
      [6, 1],
      [15, 1],
      [16, 0],
    ] as const) {
      box.tick = tick;
      box.store.sweep();
      expect(box.notes.size).toBe(size);
    }
  });

  test("a lapsed record does not come back", () => {
    const box = noteStore();
    const bytes = noteBytes(alice, { untilTick: 5 });
    box.store.offer(bytes);
    box.tick = 6;
    box.store.sweep();
    expect(codeThrownBy(() => box.store.offer(bytes))).toBe("expired");
  });
});

describe("an entry", () => {
  test("remembers the tick and the order in which it arrived", () => {
    const box = noteStore();
    box.tick = 3;
    box.store.offer(noteBytes(alice, { slot: 0 }));
    box.tick = 4;
    box.store.offer(noteBytes(alice, { slot: 1 }));
    const [first, second] = [0, 1].map((slot) =>
      box.notes.get(`${toHex(alice.publicKey)}:${slot}`),
    );
    expect([first?.arrivalTick, second?.arrivalTick]).toEqual([3, 4]);
    expect(first?.arrivalOrder).toBeLessThan(second?.arrivalOrder ?? 0);
  });

  test("reaches every subscriber once, until it unsubscribes", () => {
    const box = noteStore();
    const heard: string[] = [];
    const stop = box.notes.subscribe((entry) => heard.push(entry.body.text));
    const bytes = noteBytes(alice, { text: "one" });
    box.store.offer(bytes);
    box.store.offer(bytes);
    stop();
    box.store.offer(noteBytes(alice, { slot: 1, text: "two" }));
    expect(heard).toEqual(["one"]);
  });
});
