/** The reply board: who may post, where a reply stands, who may acknowledge it, and how long it stays. */
import { describe, expect, test } from "bun:test";
import { toHex } from "../../src/base/bytes.ts";
import { kemKeyPair } from "../../src/base/hpke.ts";
import { REPLY_BYTES } from "../../src/base/limits.ts";
import { DURATION_MAX_MS } from "../../src/coalition/classes.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import { encodeRecord, signRecord } from "../../src/network/record.ts";
import { type Reply, replyKey, replySecret, replyTag } from "../../src/zipnet/board.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { type RecordBook, recordBook, tickTo } from "../coalition/book.ts";
import { grantOf, type ProviderActor, providerActor, testOrder } from "../support/actors.ts";
import { keyNamed, seedNamed, signGrant, testCeremony } from "../support/coalition.ts";

const ceremony = testCeremony();
const { coalition } = ceremony;
const { keepTicks } = coalition.file.compute;
const alpha = providerActor(coalition, "alpha");
const rival = providerActor(coalition, "rival", { operator: keyNamed("rival operator") });
const ack = keyNamed("ack");
const tag = replyTag(seedNamed("envelope secret"), 1, "receipt");

function reply(change: Partial<Reply> = {}, actor: ProviderActor = alpha): Reply {
  return {
    v: 1,
    providerId: actor.id,
    tag,
    ackKey: ack.publicKey,
    validToTick: 100,
    sealed: new Uint8Array(REPLY_BYTES).fill(7),
    endorsement: actor.endorsement,
    ...change,
  };
}

const post = (change: Partial<Reply> = {}, actor: ProviderActor = alpha) =>
  actor.sign("reply", reply(change, actor));

/** A book in which these providers hold one grant each. */
async function granting(...actors: readonly ProviderActor[]): Promise<RecordBook> {
  const book = recordBook(coalition);
  tickTo(book, 10);
  for (const actor of actors) {
    const { request } = composeRequest(coalition, testOrder(), 10);
    const grant: ComputeGrant = grantOf(coalition, request, actor.card());
    book.offer(await signGrant(ceremony, grant));
  }
  return book;
}

const acknowledgement = (providerId = alpha.id, of = tag) => ({ v: 1, providerId, tag: of });

describe("a reply", () => {
  test("of a provider that holds a grant is taken", async () => {
    expect((await granting(alpha)).code(post())).toBeUndefined();
  });

  test("of anybody else is not", async () => {
    const book = await granting(alpha);
    expect(book.code(post({}, rival))).toBe("lacks-context");
    expect(book.code(signRecord(keyNamed("thief"), coalition.network, "reply", reply()))).toBe(
      "not-endorsed",
    );
    expect(book.code(rival.sign("reply", reply()))).toBe("not-endorsed");
  });

  test("has one size", async () => {
    const book = await granting(alpha);
    for (const size of [0, REPLY_BYTES - 1, REPLY_BYTES + 1]) {
      expect(book.code(post({ sealed: new Uint8Array(size) }))).toBe("wrong-schema");
    }
    const sizes = [post(), post({ tag: seedNamed("x") })].map(
      (record) => encodeRecord(record).length,
    );
    expect(new Set(sizes).size).toBe(1);
  });

  test("cannot be overwritten by a rival, under whatever seq, once its tag is public", async () => {
    const book = await granting(alpha, rival);
    book.offer(post());
    const loud = rival.instance(1_000_000);
    expect(book.code(post({}, loud))).toBeUndefined(); // its own business, under its own key
    expect(book.board.replies.get(replyKey({ providerId: alpha.id, tag }))?.body).toEqual(reply());
  });

  test("of a newer instance replaces the older one's", async () => {
    const book = await granting(alpha);
    const second = alpha.instance(2);
    book.offer(post({}, second));
    expect(book.code(post())).toBe("stale-epoch");
  });

  test("is one receipt and one refusal per grant, all in all", async () => {
    const book = await granting(alpha, alpha);
    const codes = [1, 2, 3, 4, 5].map((i) => book.code(post({ tag: seedNamed(`tag ${i}`) })));
    expect(codes).toEqual([undefined, undefined, undefined, undefined, "over-quota"] as never);
  });

  test("goes when its grant is long over, and cannot ask to stay longer than any grant lives", async () => {
    const book = await granting(alpha);
    book.offer(post());
    tickTo(book, 100 + keepTicks);
    book.store.sweep();
    expect(book.board.replies.size).toBe(1);
    tickTo(book, 101 + keepTicks);
    book.store.sweep();
    expect(book.board.replies.size).toBe(0);

    const greedy = await granting(alpha);
    greedy.offer(post({ validToTick: Number.MAX_SAFE_INTEGER - 1_000_000 }));
    tickTo(greedy, 11 + DURATION_MAX_MS / coalition.file.almanac.periodMs + keepTicks);
    greedy.store.sweep();
    expect(greedy.board.replies.size).toBe(0);
  });
});

describe("an acknowledgement", () => {
  const sign = (key = ack, body: object = acknowledgement()) =>
    signRecord(key, coalition.network, "ack", body);

  test("under the key that the reply names is taken", async () => {
    const book = await granting(alpha);
    expect(book.code(sign())).toBe("lacks-context");
    book.offer(post());
    expect(book.code(sign())).toBeUndefined();
    expect(book.board.acks.get(replyKey({ providerId: alpha.id, tag }))).toBeDefined();
  });

  test("under another key is not, the provider's own included", async () => {
    const book = await granting(alpha);
    book.offer(post());
    expect(book.code(sign(keyNamed("other")))).toBe("wrong-key");
    expect(book.code(sign(alpha.boot))).toBe("wrong-key");
  });

  test("of a reply that asks for none is not taken", async () => {
    const book = await granting(alpha);
    const { ackKey: _, ...silent } = reply();
    book.offer(alpha.sign("reply", silent));
    expect(book.code(sign())).toBe("wrong-key");
  });

  test("a rival's reply under the same tag, with its own ack key, silences nobody", async () => {
    const book = await granting(alpha, rival);
    book.offer(post());
    const own = keyNamed("rival ack");
    book.offer(post({ ackKey: own.publicKey }, rival));
    expect(book.code(sign(own))).toBe("wrong-key");
    expect(book.code(sign(own, acknowledgement(rival.id)))).toBeUndefined();
    expect(book.board.acks.get(replyKey({ providerId: alpha.id, tag }))).toBeUndefined();
    expect(book.code(sign())).toBeUndefined();
  });

  test("one key acknowledges once", async () => {
    const book = await granting(alpha);
    const second = seedNamed("second tag");
    book.offer(post());
    book.offer(post({ tag: second }));
    book.offer(sign());
    expect(book.code(sign(ack, acknowledgement(alpha.id, second)))).toBe("over-quota");
  });
});

describe("tags", () => {
  test("differ by secret, attempt and kind", () => {
    const tags = [seedNamed("a"), seedNamed("b")].flatMap((secret) =>
      [1, 2, 3].flatMap((attempt) =>
        (["receipt", "refusal"] as const).map((kind) => toHex(replyTag(secret, attempt, kind))),
      ),
    );
    expect(new Set(tags).size).toBe(12);
  });

  test("for a closed envelope come from a secret both sides can compute, for this request only", () => {
    const [requester, provider] = [kemKeyPair(), kemKeyPair()];
    const [one, two] = [seedNamed("request 1"), seedNamed("request 2")];
    const mine = replySecret(requester.privateKey, provider.publicKey, one);
    expect(mine).toEqual(replySecret(provider.privateKey, requester.publicKey, one));
    expect(mine).not.toEqual(replySecret(requester.privateKey, provider.publicKey, two));
    expect(mine).not.toEqual(replySecret(requester.privateKey, kemKeyPair().publicKey, one));
  });
});
