/** A requester waiting: it believes only the granted provider, about its own grant, and knows when hope is over. */
import { describe, expect, test } from "bun:test";
import { toHex } from "../../src/base/bytes.ts";
import { codeOf } from "../../src/base/errors.ts";
import { kemKeyPair } from "../../src/base/hpke.ts";
import { silentLogger } from "../../src/base/log.ts";
import { type ComputeGrant, grantId, type RefusalCode } from "../../src/coalition/grant.ts";
import { awaitLog, awaitReceipt, type Progress } from "../../src/receipt/await.ts";
import { type ReplyContent, type SshAccessReceipt, sealReply } from "../../src/receipt/receipt.ts";
import { type Reply, replySecret, replyTag } from "../../src/zipnet/board.ts";
import { composeRequest, type RequestState, seedOf } from "../../src/zipnet/compose.ts";
import { packRequest } from "../../src/zipnet/message.ts";
import { recordBook, tickTo } from "../coalition/book.ts";
import { grantOf, type ProviderActor, providerActor, testOrder } from "../support/actors.ts";
import { keyNamed, seedNamed, signGrant, testCeremony } from "../support/coalition.ts";
import { fakeClock } from "../support/fake-clock.ts";

const ceremony = testCeremony();
const { coalition } = ceremony;
const { attemptTicks } = coalition.file.compute;
const alpha = providerActor(coalition, "alpha");
const beta = providerActor(coalition, "beta", { operator: keyNamed("another operator") });

async function waiting() {
  const clock = fakeClock();
  const book = recordBook(coalition);
  tickTo(book, 10);
  const { record, request, state: composed } = composeRequest(coalition, testOrder(), 10);
  book.offer(record);
  const state: RequestState = { ...composed, message: toHex(packRequest(record)), sent: true };
  const told: Progress[] = [];
  const view = { coalition, records: book.records, board: book.board, clock, log: silentLogger };
  const stop = new AbortController();
  const waits = awaitReceipt(view, state, (progress) => told.push(progress), stop.signal);
  const outcome = waits.then(
    ({ receipt }) => `receipt from ${receipt.instanceHost}`,
    (error: unknown) => codeOf(error),
  );
  let ended: string | undefined;
  void outcome.then((end) => {
    ended = end;
  });
  return {
    clock,
    book,
    state,
    request,
    stop,
    /** Steps as `attempt step`, refusals with code and detail. */
    steps: () =>
      told.map(
        (one) =>
          `${one.grant.attempt} ${one.step}${one.step === "refused" ? ` ${one.code} ${one.detail}`.trimEnd() : ""}`,
      ),
    ended: () => ended,
    async grant(actor = alpha, attempt = 1): Promise<ComputeGrant> {
      const grant = grantOf(coalition, request, actor.card(), { attempt });
      book.offer(await signGrant(ceremony, grant));
      await clock.settle();
      return grant;
    },
    admit: async (grant: ComputeGrant, actor = alpha): Promise<void> => {
      book.offer(actor.sign("admission", actor.admission(grant)));
      await clock.settle();
    },
    refuse: async (grant: ComputeGrant, code: RefusalCode, actor = alpha): Promise<void> => {
      book.offer(actor.sign("refusal", actor.refusal(grant, code)));
      await clock.settle();
    },
    post: async (reply: Reply, actor = alpha): Promise<void> => {
      book.offer(actor.sign("reply", reply));
      await clock.settle();
    },
  };
}

type Waiting = Awaited<ReturnType<typeof waiting>>;

function receiptOf(grant: ComputeGrant, instanceHost = "203.0.113.7"): SshAccessReceipt {
  return {
    v: 1,
    kind: "receipt",
    instanceHost,
    instancePort: 22,
    user: "tenant",
    sshHostKey: seedNamed("host"),
    grantId: grantId(grant),
    validToTick: grant.validToTick,
    notAfterMs: grant.notAfterMs,
  };
}

/** As the provider of the grant posts it once the envelope is open. */
function posted(
  at: Waiting,
  grant: ComputeGrant,
  content: ReplyContent,
  actor: ProviderActor = alpha,
): Reply {
  return {
    v: 1,
    providerId: actor.id,
    tag: replyTag(seedOf(at.state, "secret"), grant.attempt, content.kind),
    validToTick: grant.validToTick,
    sealed: sealReply(
      content,
      grant,
      actor.boot,
      kemKeyPair(seedOf(at.state, "kemSeed")).publicKey,
    ),
    endorsement: actor.endorsement,
  };
}

function refusalOf(grant: ComputeGrant, code: RefusalCode, detail: string): ReplyContent {
  return { v: 1, kind: "refusal", grantId: grantId(grant), code, detail };
}

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

  test("when nobody proposed in all three attempts and the grace after them", async () => {
    const at = await waiting();
    tickTo(at.book, 10 + 4 * attemptTicks - 1);
    await at.clock.advance(2000);
    expect(at.ended()).toBeUndefined();
    tickTo(at.book, 10 + 4 * attemptTicks);
    await at.clock.advance(2000);
    expect(at.ended()).toBe("attempts-exhausted");
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

describe("the final log", () => {
  const NEVER = new AbortController().signal;
  const waits = async () => {
    const at = await waiting();
    const grant = await at.grant();
    const view = {
      ...at,
      coalition,
      records: at.book.records,
      board: at.book.board,
      log: silentLogger,
    };
    const found = awaitLog(view, grant, NEVER).then(
      ({ status }) => status as string,
      (error: unknown) => codeOf(error),
    );
    let ended: string | undefined;
    void found.then((what) => {
      ended = what;
    });
    return { ...at, grant, ended: () => ended };
  };

  test("is the last of the chain, not an interim one", async () => {
    const { book, clock, grant, ended } = await waits();
    const interim = alpha.log(grant, "interim");
    book.offer(alpha.sign("log", interim));
    await clock.advance(2000);
    expect(ended()).toBeUndefined();
    book.offer(alpha.sign("log", alpha.log(grant, "completed", interim)));
    await clock.advance(2000);
    expect(ended()).toBe("completed");
  });

  test("will not come after a refusal", async () => {
    const { book, clock, grant, ended } = await waits();
    book.offer(alpha.sign("refusal", alpha.refusal(grant, "unavailable")));
    await clock.advance(2000);
    expect(ended()).toBe("no-grant");
  });

  test("is not waited for once nobody keeps it any more", async () => {
    const { book, clock, ended } = await waits();
    tickTo(book, 100 + coalition.file.compute.keepTicks + 1);
    await clock.advance(2000);
    expect(ended()).toBe("no-grant");
  });
});
