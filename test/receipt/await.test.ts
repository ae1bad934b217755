/** A requester waiting: it believes only the granted provider, about its own grant, and knows when hope is over. */
import { describe, expect, test } from "bun:test";
import { kemKeyPair } from "../../src/base/hpke.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import { ADVICE } from "../../src/receipt/advice.ts";
import { sealReply } from "../../src/receipt/receipt.ts";
import { type Reply, replySecret, replyTag } from "../../src/zipnet/board.ts";
import { composeRequest, seedOf } from "../../src/zipnet/compose.ts";
import { tickTo } from "../coalition/book.ts";
import { grantOf, testOrder } from "../support/actors.ts";
import { keyNamed, seedNamed, signGrant } from "../support/coalition.ts";

import {
  alpha,
  attemptTicks,
  beta,
  ceremony,
  coalition,
  posted,
  receiptOf,
  refusalOf,
  type Waiting,
  waiting,
} from "./waiting.ts";

describe("a receipt", () => {
  test("ends the wait, after each step was told once", async () => {
    const at = await waiting();
    const grant = await at.grant();
    await at.admit(grant);
    await at.clock.advance(5000);
    expect([at.steps(), at.ended()]).toEqual([["1 granted", "1 admitted"], undefined]);
    await at.post(posted(at, grant, receiptOf(grant)));
    expect(at.ended()).toBe("receipt from 203.0.113.7");
  });

  test("of an instance that took over from the admitting one is as good", async () => {
    const at = await waiting();
    const grant = await at.grant();
    await at.admit(grant);
    const second = alpha.instance(2);
    await at.post(posted(at, grant, receiptOf(grant), second), second);
    expect(at.ended()).toBe("receipt from 203.0.113.7");
  });

  test("of another provider under our tag is nothing to us", async () => {
    const at = await waiting();
    const grant = await at.grant();
    const other = composeRequest(coalition, testOrder(), 10).request;
    at.book.offer(await signGrant(ceremony, grantOf(coalition, other, beta.card())));
    await at.post(posted(at, grant, receiptOf(grant, "198.51.100.66"), beta), beta);
    await at.clock.advance(2000);
    expect(at.ended()).toBeUndefined();
    await at.post(posted(at, grant, receiptOf(grant)));
    expect(at.ended()).toBe("receipt from 203.0.113.7");
  });

  const wrong: readonly [name: string, make: (at: Waiting, grant: ComputeGrant) => Reply][] = [
    [
      "about another grant",
      (at, grant) => posted(at, grant, { ...receiptOf(grant), grantId: seedNamed("x") }),
    ],
    [
      "signed by another key than the one endorsed",
      (at, grant) => posted(at, grant, receiptOf(grant), { ...alpha, boot: keyNamed("thief") }),
    ],
    [
      "sealed for another attempt",
      (at, grant) => ({
        ...posted(at, { ...grant, attempt: 2 }, receiptOf(grant)),
        tag: posted(at, grant, receiptOf(grant)).tag,
      }),
    ],
    [
      "that is a refusal under a receipt's tag",
      (at, grant) => ({
        ...posted(at, grant, refusalOf(grant, "busy", "no")),
        tag: posted(at, grant, receiptOf(grant)).tag,
      }),
    ],
    [
      "that does not open",
      (at, grant) => ({ ...posted(at, grant, receiptOf(grant)), sealed: new Uint8Array(1024) }),
    ],
  ];
  for (const [name, make] of wrong) {
    test(`${name} is not taken, and a good one after it is`, async () => {
      const at = await waiting();
      const grant = await at.grant();
      await at.post(make(at, grant));
      await at.clock.advance(2000);
      expect(at.ended()).toBeUndefined();
      const second = alpha.instance(2);
      await at.post(posted(at, grant, receiptOf(grant), second), second);
      expect(at.ended()).toBe("receipt from 203.0.113.7");
    });
  }
});

describe("a refusal", () => {
  test("is told with the words sealed for us, although they come after the public record", async () => {
    const at = await waiting();
    const grant = await at.grant();
    await at.refuse(grant, "above-cap");
    await at.clock.advance(500);
    expect(at.steps()).toEqual(["1 granted"]);
    await at.post(posted(at, grant, refusalOf(grant, "above-cap", "the cap is 5 EUR a day")));
    expect(at.steps()).toEqual(["1 granted", "1 refused above-cap the cap is 5 EUR a day"]);
    expect(at.ended()).toBe("not-eligible");
  });

  test("stands in the error with its code, the provider's words and what to do", async () => {
    const at = await waiting();
    const grant = await at.grant();
    await at.refuse(grant, "above-cap");
    await at.post(posted(at, grant, refusalOf(grant, "above-cap", "the cap is 5 EUR a day")));
    expect(at.failure()).toMatchObject({
      code: "not-eligible",
      message: expect.stringContaining("above-cap (the cap is 5 EUR a day)"),
      fix: ADVICE["above-cap"],
    });
  });

  test("before the envelope was open comes under the request's reply key", async () => {
    const at = await waiting();
    const grant = await at.grant();
    await at.refuse(grant, "too-short");
    const reply = kemKeyPair(seedOf(at.state, "replySeed"));
    const secret = replySecret(alpha.kem.privateKey, reply.publicKey, grant.requestId);
    const content = refusalOf(grant, "too-short", "no time left");
    await at.post({
      ...posted(at, grant, content),
      tag: replyTag(secret, 1, "refusal"),
      sealed: sealReply(content, grant, alpha.boot, reply.publicKey),
    });
    expect(at.steps().at(-1)).toBe("1 refused too-short no time left");
  });

  test("without sealed words is told after a moment all the same", async () => {
    const at = await waiting();
    await at.refuse(await at.grant(), "expired");
    await at.clock.advance(10_000);
    expect([at.steps().at(-1), at.ended()]).toEqual(["1 refused expired", "not-eligible"]);
  });

  test("cannot steer the reader's terminal", async () => {
    const at = await waiting();
    const grant = await at.grant();
    await at.refuse(grant, "expired");
    await at.post(
      posted(at, grant, refusalOf(grant, "expired", "\u001b[2Jgone\nreceipt: \u202eok")),
    );
    expect(at.steps().at(-1)).toBe("1 refused expired [2Jgone receipt:  ok");
  });

  test("that lets others try is followed by the next attempt's receipt", async () => {
    const at = await waiting();
    await at.refuse(await at.grant(), "busy");
    const grant = await at.grant(beta, 2);
    await at.admit(grant, beta);
    await at.post(posted(at, grant, receiptOf(grant), beta), beta);
    expect(at.ended()).toBe("receipt from 203.0.113.7");
  });
});

describe("hope ends", () => {
  test("when no attempt is left", async () => {
    const at = await waiting();
    for (const attempt of [1, 2, 3]) await at.refuse(await at.grant(alpha, attempt), "busy");
    tickTo(at.book, 10 + 2 * attemptTicks + 1);
    await at.clock.advance(10_000);
    expect(at.ended()).toBe("attempts-exhausted");
  });

  test("with the last refusal's code and words in the error", async () => {
    const at = await waiting();
    await at.refuse(await at.grant(alpha, 1), "busy");
    const grant = await at.grant(beta, 2);
    await at.refuse(grant, "capacity", beta);
    await at.post(
      posted(at, grant, refusalOf(grant, "capacity", "2 of 2 machines run"), beta),
      beta,
    );
    tickTo(at.book, 10 + 3 * attemptTicks + 1);
    await at.clock.advance(10_000);
    expect(at.failure()).toMatchObject({
      code: "attempts-exhausted",
      message: expect.stringContaining("the last refusal: capacity (2 of 2 machines run)"),
      fix: ADVICE.capacity,
    });
  });

  test("with word of it when the granted provider never answered", async () => {
    const at = await waiting();
    await at.grant();
    tickTo(at.book, 10 + 4 * attemptTicks + 1);
    await at.clock.advance(2000);
    expect(at.failure()).toMatchObject({
      code: "attempts-exhausted",
      message: expect.stringContaining("never answered"),
    });
  });

  test("when nobody proposed in all three attempts and the grace after them", async () => {
    const at = await waiting();
    tickTo(at.book, 10 + 4 * attemptTicks - 1);
    await at.clock.advance(2000);
    expect(at.ended()).toBeUndefined();
    tickTo(at.book, 10 + 4 * attemptTicks);
    await at.clock.advance(2000);
    expect(at.failure()).toMatchObject({
      code: "attempts-exhausted",
      message: expect.stringContaining("no offer fitted"),
      fix: expect.stringContaining("higher price"),
    });
  });

  test("when the person stops waiting", async () => {
    const at = await waiting();
    at.stop.abort();
    await at.clock.settle();
    expect(at.ended()).toBe("invariant"); // the abort itself, which is no BridgeError
    await at.clock.advance(2000);
    expect(at.clock.pending).toBe(0);
  });

  test("not while the provider that took it is at work, however long", async () => {
    const at = await waiting();
    await at.admit(await at.grant());
    tickTo(at.book, 100 + attemptTicks); // the grant's last tick, and the grace after it
    await at.clock.advance(60_000);
    expect(at.ended()).toBeUndefined();
  });

  test("when the grant is over and its provider never delivered", async () => {
    const at = await waiting();
    await at.admit(await at.grant());
    tickTo(at.book, 100 + attemptTicks + 1);
    await at.clock.advance(2000);
    expect(at.ended()).toBe("no-grant");
  });

  test("when the provider has closed the grant and no receipt follows", async () => {
    const at = await waiting();
    const grant = await at.grant();
    await at.admit(grant);
    at.book.offer(alpha.sign("log", alpha.log(grant, "failed")));
    await at.clock.advance(2000);
    expect(at.ended()).toBeUndefined(); // the receipt may be a moment behind
    tickTo(at.book, 10 + attemptTicks + 1);
    await at.clock.advance(2000);
    expect(at.ended()).toBe("no-grant");
  });
});
