/** One requester that waits for the answer to one request, with two providers, on records and a clock of the test's. */
import { toHex } from "../../src/base/bytes.ts";
import { codeOf } from "../../src/base/errors.ts";
import { kemKeyPair } from "../../src/base/hpke.ts";
import { silentLogger } from "../../src/base/log.ts";
import { type ComputeGrant, grantId, type RefusalCode } from "../../src/coalition/grant.ts";
import { awaitReceipt, type Progress } from "../../src/receipt/await.ts";
import { type ReplyContent, type SshAccessReceipt, sealReply } from "../../src/receipt/receipt.ts";
import { type Reply, replyTag } from "../../src/zipnet/board.ts";
import { composeRequest, type RequestState, seedOf } from "../../src/zipnet/compose.ts";
import { packRequest } from "../../src/zipnet/message.ts";
import { recordBook, tickTo } from "../coalition/book.ts";
import { grantOf, type ProviderActor, providerActor, testOrder } from "../support/actors.ts";
import { keyNamed, seedNamed, signGrant, testCeremony } from "../support/coalition.ts";
import { fakeClock } from "../support/fake-clock.ts";

export const ceremony = testCeremony();
export const { coalition } = ceremony;
export const { attemptTicks } = coalition.file.compute;
export const alpha = providerActor(coalition, "alpha");
export const beta = providerActor(coalition, "beta", { operator: keyNamed("another operator") });

export async function waiting() {
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
  let failure: unknown;
  const outcome = waits.then(
    ({ receipt }) => `receipt from ${receipt.instanceHost}`,
    (error: unknown) => {
      failure = error;
      return codeOf(error);
    },
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
    /** What it gave up with. */
    failure: () => failure,
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

export type Waiting = Awaited<ReturnType<typeof waiting>>;

export function receiptOf(grant: ComputeGrant, instanceHost = "203.0.113.7"): SshAccessReceipt {
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
export function posted(
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

export function refusalOf(grant: ComputeGrant, code: RefusalCode, detail: string): ReplyContent {
  return { v: 1, kind: "refusal", grantId: grantId(grant), code, detail };
}
