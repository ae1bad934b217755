/** Stage open: publish the admission, gather shares from the members, open the envelope and check it. */
import { toHex } from "../base/bytes.ts";
import { timeoutSignal } from "../base/clock.ts";
import { BridgeError, type ErrorCode, explain } from "../base/errors.ts";
import { GATHER_MS } from "../base/limits.ts";
import { isAnswered } from "../coalition/answers.ts";
import type { RefusalCode } from "../coalition/grant.ts";
import type { RequestMessage } from "../coalition/request.ts";
import type { GrantEvent } from "../ledger/events.ts";
import type { Received, Resolution } from "../ledger/state.ts";
import { encodeRecord } from "../network/record.ts";
import { decodeEnvelope, type Envelope, envelopeSecret } from "../zipnet/envelope.ts";
import { gatherShares } from "../zipnet/gather.ts";
import { announceOnce, type StageContext } from "./context.ts";
import { crossCheck } from "./cross-check.ts";
import { endMachines, findRemains } from "./remains.ts";

type Rejected = Extract<GrantEvent, { type: "rejected" }>;

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
  const { records } = context;
  const { grant } = state;
  const giveUp = async (event: GrantEvent): Promise<GrantEvent | undefined> => {
    await endRemains(context, state, signal);
    return signal.aborted ? undefined : event;
  };
  if (isAnswered(records, grant)) return await giveUp({ type: "answered" });
  const message = records.requests.get(toHex(grant.requestId))?.body;
  if (message === undefined) {
    if (records.tick().seq > grant.validToTick)
      return await giveUp(rejected("expired", "the request has lapsed"));
    throw new BridgeError("lacks-context", "the granted request has not reached this node yet", {
      retry: "later",
    });
  }
  let plaintext: Uint8Array;
  try {
    plaintext = await askMembers(context, state, message, signal);
  } catch (error) {
    if (signal.aborted) return undefined;
    const refusal = refusalFor(context, state, error);
    if (refusal === undefined) throw error;
    return await giveUp(refusal);
  }
  let envelope: Envelope;
  try {
    envelope = decodeEnvelope(plaintext);
  } catch (error) {
    return { ...rejected("envelope-unreadable", explain(error)), invalid: true };
  }
  const { request } = message;
  const resolution = resolve(envelope, envelopeSecret(plaintext), request);
  const mismatch = crossCheck(grant, request, envelope);
  return mismatch === undefined
    ? { type: "opened", resolution }
    : { type: "rejected", ...mismatch, invalid: true, resolution };
}

/** Tells everybody that the grant is ours now, and has a threshold of members open its envelope. */
async function askMembers(
  context: StageContext,
  { key, grant, grantId, record }: Received,
  message: RequestMessage,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { records, replica } = context;
  const admission = announceOnce(context, records.admissions, key, () => ({
    v: 1 as const,
    grantId,
    requestId: grant.requestId,
    attempt: grant.attempt,
    providerId: context.providerId,
    tick: records.tick().seq,
    endorsement: context.endorsement(),
  }));
  return await gatherShares(
    { ...context, transport: replica.transport },
    grant,
    message,
    { grant: record, admission: encodeRecord(admission) },
    timeoutSignal(context.clock, GATHER_MS, signal),
  );
}

/** What a failure to open means for the grant; undefined: nothing yet, it is tried again. */
function refusalFor(
  { clock, coalition, log }: StageContext,
  { recovering, deadlineMs }: Received,
  error: unknown,
): Rejected | undefined {
  // A newer instance answers for this provider: it is not for us to refuse. We are fenced once its card is here.
  if (!(error instanceof BridgeError) || error.code === "stale-epoch") return undefined;
  log.warn("envelope-closed", { members: coalition.members.length, error });
  const code = REFUSED_BY_MEMBERS[error.code] ?? "unavailable";
  const lasting = code !== "unavailable" || clock.nowMs() >= deadlineMs;
  if (recovering && !lasting) return undefined; // a machine may be running: no passing failure ends it
  return rejected(code, `the committee did not open the envelope: ${error.code}`);
}

function rejected(code: RefusalCode, detail: string): Rejected {
  return { type: "rejected", code, detail, invalid: false };
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
