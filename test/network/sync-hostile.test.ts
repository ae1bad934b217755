/** Sync between a node that keeps the protocol and one that does not. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concat } from "../../src/base/bytes.ts";
import { decodeCanonical, encodeCanonical } from "../../src/base/canonical.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { sha256 } from "../../src/base/hash.ts";
import {
  ANSWER_BYTES_MAX,
  SYNC_FETCH_IDS_MAX,
  SYNC_IDS_MAX,
  SYNC_REQUEST_BYTES_MAX,
} from "../../src/base/limits.ts";
import { forgedBytes, noteBytes, noteStore } from "./notes.ts";
import { alice, codeOfRejection, oneRoot, scripted, served } from "./sync-rig.ts";

describe("the server refuses", () => {
  const none = new Uint8Array(0);
  const cases: readonly [name: string, request: Uint8Array, code: ErrorCode][] = [
    ["bytes that are no CBOR", new Uint8Array([255]), "malformed"],
    ["4,000 nested arrays", new Uint8Array(4000).fill(0x81), "too-deep"],
    [
      "an unknown question",
      encodeCanonical({ want: "all", kind: "note", of: none }),
      "wrong-schema",
    ],
    [
      "an unknown key",
      encodeCanonical({ want: "ids", kind: "note", of: none, x: 1 }),
      "wrong-schema",
    ],
    ["an unknown kind", encodeCanonical({ want: "ids", kind: "poem", of: none }), "unknown-kind"],
    [
      "a cut id list",
      encodeCanonical({ want: "records", kind: "note", of: new Uint8Array(33) }),
      "malformed",
    ],
    [
      "an id asked for twice, to be answered twice",
      encodeCanonical({ want: "records", kind: "note", of: new Uint8Array(64) }),
      "malformed",
    ],
  ];
  for (const [name, request, code] of cases) {
    test(`${name}: ${code}, and serves the next request`, async () => {
      const server = noteStore();
      server.store.offer(noteBytes(alice));
      const { ask, pullInto, network } = await served(server.store);
      expect(await codeOfRejection(ask(request))).toBe(code);
      expect(await pullInto(noteStore().store)).toMatchObject({ fresh: 1 });
      expect(network.bugs).toEqual([]);
    });
  }

  test("a request above the limit by cutting the stream", async () => {
    const { ask } = await served(noteStore().store);
    const large = new Uint8Array(SYNC_REQUEST_BYTES_MAX + 257);
    expect(await codeOfRejection(ask(large))).toBe("unreachable");
  });

  test("random bytes, always with a code", async () => {
    const { ask, network } = await served(noteStore().store);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        expect(await codeOfRejection(ask(bytes))).toBeDefined();
      }),
      { seed: 7, numRuns: 60 },
    );
    expect(network.bugs).toEqual([]);
  });

  test("no question about ids it does not have: their places stay empty", async () => {
    const server = noteStore();
    const bytes = noteBytes(alice);
    server.store.offer(bytes);
    const [id = ""] = server.notes.ids();
    const { ask } = await served(server.store);
    const of = concat(new Uint8Array(32), Buffer.from(id, "hex"));
    const answer = await ask(encodeCanonical({ want: "records", kind: "note", of }));
    expect(decodeCanonical(answer, ANSWER_BYTES_MAX)).toEqual([new Uint8Array(0), bytes]);
  });
});

describe("a peer that answers garbage", () => {
  const id = sha256(new Uint8Array(1));
  const cases: readonly [name: string, script: Parameters<typeof scripted>[0], code: ErrorCode][] =
    [
      ["no roots at all", {}, "malformed"],
      ["roots of another schema", { roots: () => encodeCanonical([{ kind: 1 }]) }, "wrong-schema"],
      ["nested roots", { roots: () => new Uint8Array(4000).fill(0x81) }, "too-deep"],
      ["a cut id list", { roots: oneRoot(1), ids: () => new Uint8Array(31) }, "malformed"],
      [
        "records that are no list",
        { roots: oneRoot(1), ids: () => id, records: () => encodeCanonical(1) },
        "wrong-schema",
      ],
      [
        "more records than were asked for",
        {
          roots: oneRoot(1),
          ids: () => id,
          records: () => encodeCanonical(Array(SYNC_FETCH_IDS_MAX + 1).fill(id)),
        },
        "wrong-schema",
      ],
    ];
  for (const [name, script, code] of cases) {
    test(`${name}: the pull ends with ${code}`, async () => {
      const box = noteStore();
      expect(await codeOfRejection((await scripted(script))(box.store))).toBe(code);
      expect(box.notes.size).toBe(0);
    });
  }

  test("records that do not hold are refused one by one; good ones among them are kept", async () => {
    const good = noteBytes(alice, { slot: 1 });
    const bad = forgedBytes(alice, { slot: 2 });
    const box = noteStore();
    const pullInto = await scripted({
      roots: oneRoot(3),
      ids: () => concat(sha256(good), sha256(bad), id),
      records: () => encodeCanonical([bad, good, new Uint8Array(0)]),
    });
    const heard: ErrorCode[] = [];
    const result = await pullInto(box.store, (error) => heard.push(error.code) > 0);
    expect(result).toMatchObject({ fresh: 1, refused: 1, complete: true });
    expect([heard.length, box.notes.size]).toEqual([1, 1]);
  });

  test("the reader may end the pull at the first bad record", async () => {
    const bad = Array.from({ length: 50 }, (_, i) => new Uint8Array(40).fill(i));
    const pullInto = await scripted({
      roots: oneRoot(50),
      ids: () => concat(...bad.map((bytes) => sha256(bytes))),
      records: () => encodeCanonical(bad),
    });
    let heard = 0;
    const result = await pullInto(noteStore().store, () => {
      heard += 1;
      return heard < 5;
    });
    expect([heard, result.refused, result.complete]).toEqual([5, 5, false]);
  });

  test("ids without records end after one question for them", async () => {
    let asked = 0;
    const ids = Array.from({ length: 30_000 }, (_, i) => sha256(Buffer.from(`${i}`)));
    const pullInto = await scripted({
      roots: oneRoot(30_000),
      ids: () => concat(...ids.slice(0, SYNC_IDS_MAX)),
      records: () => {
        asked += 1;
        return encodeCanonical([]);
      },
    });
    const result = await pullInto(noteStore().store);
    expect(result).toMatchObject({ fresh: 0, complete: false });
    expect(asked).toBeLessThanOrEqual(256);
  });
});
