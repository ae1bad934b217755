/** Stages that answer the requester: the receipt, its repetition until acknowledged, and the refusal. */
import { toHex } from "../base/bytes.ts";
import { jitter } from "../base/clock.ts";
import { REFUSAL_DETAIL_CHARS_MAX, REPOST_TICKS } from "../base/limits.ts";
import { correlate } from "../base/log.ts";
import type { GrantEvent } from "../ledger/events.ts";
import type { GrantState, Refused, Running } from "../ledger/state.ts";
import { type ReplyContent, sealReply } from "../receipt/receipt.ts";
import { type Reply, type ReplyKind, replyKey, replySecret, replyTag } from "../zipnet/board.ts";
import { hasLapsed, publishOnce, type StageContext } from "./context.ts";
import { tenantSeed } from "./machine.ts";

export async function deliverStage(
  context: StageContext,
  state: Running,
  signal: AbortSignal,
): Promise<GrantEvent | undefined> {
  await postReceipt(context, state, signal);
  return signal.aborted ? undefined : { type: "posted" };
}

/** Posts the receipt again every few ticks: a reader that was away finds it whatever the board has lost. */
export async function repostStage(
  context: StageContext,
  state: Running,
  signal: AbortSignal,
): Promise<GrantEvent | undefined> {
  const { clock, log, coalition } = context;
  while (!signal.aborted) {
    await clock.sleep(jitter(REPOST_TICKS * coalition.file.almanac.periodMs), signal);
    if (signal.aborted) return undefined;
    await postReceipt(context, state, signal).catch((error: unknown) => {
      log.debug("receipt-not-reposted", { error });
    });
  }
  return undefined;
}

export async function refuseStage(
  context: StageContext,
  state: Refused,
  signal: AbortSignal,
): Promise<GrantEvent | undefined> {
  const { records } = context;
  if (hasLapsed(context, state.grant)) {
    context.log.error("refusal-lapsed", { grant: correlate(state.grantId), code: state.code });
    return { type: "announced" };
  }
  await publishOnce(
    context,
    records.refusals,
    state.key,
    () => ({
      v: 1 as const,
      grantId: state.grantId,
      requestId: state.grant.requestId,
      attempt: state.grant.attempt,
      providerId: context.providerId,
      code: state.code,
      tick: records.tick().seq,
      endorsement: context.endorsement(),
    }),
    signal,
  );
  const content: ReplyContent = {
    v: 1,
    kind: "refusal",
    grantId: state.grantId,
    code: state.code,
    detail: state.detail.slice(0, REFUSAL_DETAIL_CHARS_MAX),
  };
  await postSealedRefusal(context, state, content, signal);
  return signal.aborted ? undefined : { type: "announced" };
}

async function postReceipt(
  context: StageContext,
  state: Running,
  signal: AbortSignal,
): Promise<void> {
  const { resolution, machine, grant } = state;
  const content: ReplyContent = {
    v: 1,
    kind: "receipt",
    instanceHost: machine.host,
    instancePort: machine.port,
    user: machine.user,
    ...(resolution.sshKey === undefined
      ? { sshKeyPrivate: tenantSeed(context, state) as never }
      : {}),
    sshHostKey: machine.hostKey,
    grantId: state.grantId,
    validToTick: grant.validToTick,
    notAfterMs: state.deadlineMs,
  };
  const { secret, kemKey, ackKey } = resolution;
  await post(
    context,
    state,
    { kind: "receipt", secret, recipient: kemKey, ackKey },
    content,
    signal,
  );
}

/** To the envelope's key once it was opened, before that to the request's reply key. */
async function postSealedRefusal(
  context: StageContext,
  state: Refused,
  content: ReplyContent,
  signal: AbortSignal,
): Promise<void> {
  const { resolution, grant } = state;
  if (resolution !== undefined) {
    const { secret, kemKey, ackKey } = resolution;
    return await post(
      context,
      state,
      { kind: "refusal", secret, recipient: kemKey, ackKey },
      content,
      signal,
    );
  }
  const request = context.records.requests.get(toHex(grant.requestId))?.body.request;
  if (request === undefined) return; // nobody to answer: the request never reached this node
  const secret = replySecret(context.kem.privateKey, request.replyKey, grant.requestId);
  await post(
    context,
    state,
    { kind: "refusal", secret, recipient: request.replyKey },
    content,
    signal,
  );
}

interface Address {
  readonly kind: ReplyKind;
  readonly secret: Uint8Array;
  readonly recipient: Uint8Array;
  readonly ackKey?: Reply["ackKey"];
}

async function post(
  context: StageContext,
  state: GrantState,
  { kind, secret, recipient, ackKey }: Address,
  content: ReplyContent,
  signal: AbortSignal,
): Promise<void> {
  const { grant } = state;
  const tag = replyTag(secret, grant.attempt, kind);
  const { providerId } = context;
  const make = (): Reply => ({
    v: 1,
    providerId,
    tag,
    ...(ackKey === undefined ? {} : { ackKey }),
    validToTick: grant.validToTick,
    sealed: sealReply(content, grant, context.bootKey, recipient),
    endorsement: context.endorsement(),
  });
  await publishOnce(context, context.board.replies, replyKey({ providerId, tag }), make, signal);
}
