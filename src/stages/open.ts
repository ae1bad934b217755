/** Stage open: publish the admission, gather shares from the members, open the envelope and check it. */
import { toHex } from "../base/bytes.ts";
import { timeoutSignal } from "../base/clock.ts";
import { BridgeError, type ErrorCode, explain } from "../base/errors.ts";
import { GATHER_MS } from "../base/limits.ts";
import type { RefusalCode } from "../coalition/grant.ts";
import type { GrantEvent } from "../ledger/events.ts";
import type { Received, Resolution } from "../ledger/state.ts";
import { encodeRecord } from "../network/record.ts";
import { decodeEnvelope, type Envelope, envelopeSecret } from "../zipnet/envelope.ts";
import { gatherShares } from "../zipnet/gather.ts";
import { announceOnce, type StageContext } from "./context.ts";
import { crossCheck } from "./cross-check.ts";
import { endMachines, findRemains } from "./remains.ts";

/** What the members' answers mean for the grant; anything else is worth another provider. */
const REFUSED_BY_MEMBERS: Partial<Record<ErrorCode, RefusalCode>> = {
  "bad-ciphertext": "envelope-unreadable",
  "attempt-passed": "superseded",
  "not-the-provider": "superseded",
  expired: "expired",
};

export async function openStage(
  context: StageContext,
  state: Received,
  signal: AbortSignal,
): Promise<GrantEvent | undefined> {
  const { records, replica, coalition } = context;
  const { grant } = state;
  const message = records.requests.get(toHex(grant.requestId))?.body;
  if (message === undefined) {
    throw new BridgeError("lacks-context", "the granted request has not reached this node yet", {
      retry: "later",
    });
  }
  const admission = announceOnce(context, records.admissions, state.key, () => ({
    v: 1 as const,
    grantId: state.grantId,
    requestId: grant.requestId,
    attempt: grant.attempt,
    providerId: context.providerId,
    tick: records.tick().seq,
    endorsement: context.endorsement(),
  }));
  let plaintext: Uint8Array;
  try {
    plaintext = await gatherShares(
      { ...context, transport: replica.transport },
      grant,
      message,
      { grant: state.record, admission: encodeRecord(admission) },
      timeoutSignal(context.clock, GATHER_MS, signal),
    );
  } catch (error) {
    if (signal.aborted) return undefined;
    // A newer instance answers for this provider: it is not for us to refuse. We are fenced once its card is here.
    if (!(error instanceof BridgeError) || error.code === "stale-epoch") throw error;
    context.log.warn("envelope-closed", { members: coalition.members.length, error });
    const code = REFUSED_BY_MEMBERS[error.code] ?? "unavailable";
    const lasting = code !== "unavailable" || context.clock.nowMs() >= state.deadlineMs;
    if (state.recovering && !lasting) throw error; // a machine may be running: no passing failure ends it
    await endRemains(context, state, signal);
    if (signal.aborted) return undefined;
    return { type: "rejected", code, detail: explain(error), invalid: false };
  }
  let envelope: Envelope;
  try {
    envelope = decodeEnvelope(plaintext);
  } catch (error) {
    return { type: "rejected", code: "envelope-unreadable", detail: explain(error), invalid: true };
  }
  const { request } = message;
  const resolution = resolve(envelope, envelopeSecret(plaintext), request);
  const mismatch = crossCheck(grant, request, envelope);
  return mismatch === undefined
    ? { type: "opened", resolution }
    : { type: "rejected", ...mismatch, invalid: true, resolution };
}

/** An earlier instance may have started a machine for a grant that nobody can open any more. */
async function endRemains(
  context: StageContext,
  { recovering, grantId }: Received,
  signal: AbortSignal,
): Promise<void> {
  if (recovering) await endMachines(context, await findRemains(context, grantId, signal), signal);
}

function resolve(
  envelope: Envelope,
  secret: Resolution["secret"],
  request: Pick<Resolution, "shape" | "tee" | "regionClass">,
): Resolution {
  const { kemKey, ackKey, sshKey, manifest, image, regionHint } = envelope;
  const { kind, digest, pointer } = image;
  const { shape, tee, regionClass } = request;
  return {
    secret,
    kemKey,
    ackKey,
    ...(sshKey === undefined ? {} : { sshKey }),
    shape,
    tee,
    regionClass,
    manifest,
    image: { kind, digest, pointer },
    regionHint,
  };
}
