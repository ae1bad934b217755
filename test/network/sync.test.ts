/** Pulling from one peer brings everything it has, in bounded answers. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { toHex } from "../../src/base/bytes.ts";
import { encodeCanonical } from "../../src/base/canonical.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { sha256 } from "../../src/base/hash.ts";
import { SYNC_IDS_MAX } from "../../src/base/limits.ts";
import type { AnyCollection } from "../../src/network/collection.ts";
import type { RecordStore } from "../../src/network/store.ts";
import { holdings, NETWORK, noteBytes, noteStore } from "./notes.ts";
import { alice, oneRoot, scripted, served } from "./sync-rig.ts";

describe("a pull", () => {
  test("brings a late joiner 5,000 records, and then finds nothing more to ask", async () => {
    const server = noteStore();
    for (let slot = 0; slot < 5000; slot += 1) server.store.offer(noteBytes(alice, { slot }));
    const { pullInto, network } = await served(server.store);
    const late = noteStore();
    expect(await pullInto(late.store)).toMatchObject({ fresh: 5000, refused: 0, complete: true });
    expect(holdings(late)).toBe(holdings(server));
    const before = network.counts.sent;
    expect(await pullInto(late.store)).toMatchObject({ fresh: 0, complete: true });
    expect(network.counts.sent - before).toBe(2); // one question, one answer: equal roots
  });

  test("splits what exceeds one answer", async () => {
    const server = noteStore();
    const text = "x".repeat(5000);
    for (let slot = 0; slot < 400; slot += 1) server.store.offer(noteBytes(alice, { slot, text }));
    const { pullInto } = await served(server.store);
    const late = noteStore();
    expect(await pullInto(late.store)).toMatchObject({ fresh: 400, complete: true });
  });

  test("brings more records than one answer holds ids", async () => {
    const server = idStore(3 * SYNC_IDS_MAX);
    const { pullInto } = await served(server);
    const late = idStore(0);
    expect(await pullInto(late)).toMatchObject({ fresh: 3 * SYNC_IDS_MAX, complete: true });
  });

  test("makes any two replicas equal, in both directions", async () => {
    const records = Array.from({ length: 24 }, (_, i) =>
      noteBytes(alice, { slot: i % 8, rank: Math.floor(i / 8), text: `${i}` }),
    );
    const part = fc.subarray(records);
    await fc.assert(
      fc.asyncProperty(part, part, async (left, right) => {
        const [a, b] = [noteStore(), noteStore()];
        for (const bytes of left) offerQuietly(a.store, bytes);
        for (const bytes of right) offerQuietly(b.store, bytes);
        await (await served(a.store)).pullInto(b.store);
        await (await served(b.store)).pullInto(a.store);
        expect(holdings(a)).toBe(holdings(b));
      }),
      { seed: 6, numRuns: 40 },
    );
  });

  test("is not complete while a record waits for another", async () => {
    const server = noteStore();
    server.store.offer(noteBytes(alice, { slot: 0 }));
    const waiting = noteBytes(alice, { slot: 2, after: 1 });
    const pullInto = await scripted({
      roots: oneRoot(2),
      ids: () => sha256(waiting),
      records: () => encodeCanonical([waiting]),
    });
    const result = await pullInto(noteStore().store);
    expect(result).toMatchObject({ fresh: 0, refused: 1, complete: false });
    expect(result.firstRefusal?.code).toBe("lacks-context");
  });
});

function offerQuietly(store: RecordStore, bytes: Uint8Array): void {
  try {
    store.offer(bytes);
  } catch (error) {
    if (!(error instanceof BridgeError)) throw error;
  }
}

/** A store of bare ids, for collections too large to sign in a test: a record is its own id. */
function idStore(size: number): RecordStore {
  const ids = new Map<string, { readonly bytes: Uint8Array }>();
  const add = (bytes: Uint8Array): boolean => {
    const id = toHex(bytes);
    if (ids.has(id)) return false;
    ids.set(id, { bytes });
    return true;
  };
  for (let i = 0; i < size; i += 1) add(sha256(Buffer.from(`record ${i}`)));
  const collection = {
    spec: { kind: "note" },
    get version() {
      return ids.size;
    },
    get size() {
      return ids.size;
    },
    byId: (id: string) => ids.get(id),
    ids: () => ids.keys(),
  } as unknown as AnyCollection;
  return {
    network: NETWORK,
    collections: [collection],
    offer: (bytes) => ({ fresh: add(bytes.slice()), kind: "note" }),
    collection: () => collection,
    sweep() {},
    onStored() {},
  };
}
