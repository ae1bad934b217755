/**
 * A member as an unsealer: it gives its share of an envelope to the one provider that holds the grant, sealed to
 * that provider's KEM key, and never before the release is on disk (DESIGN section 6.4).
 */
import { equal, toHex, u32be } from "../base/bytes.ts";
import { BridgeError, hasCode } from "../base/errors.ts";
import { lp } from "../base/hash.ts";
import { seal } from "../base/hpke.ts";
import { SHARE_REQUEST_BYTES_MAX } from "../base/limits.ts";
import { correlate, type Logger } from "../base/log.ts";
import { codec, strictObject, Type } from "../base/schema.ts";
import { isAnswered } from "../coalition/answers.ts";
import type { Ballot } from "../coalition/ballot.ts";
import type { ClearingView } from "../coalition/clearing.ts";
import type { Coalition } from "../coalition/config.ts";
import { type Admission, admissionCodec, type ComputeGrant } from "../coalition/grant.ts";
import { attemptKey } from "../coalition/ids.ts";
import type { CoalitionRecords } from "../coalition/records.ts";
import type { RequestMessage } from "../coalition/request.ts";
import { decodeRecord } from "../network/record.ts";
import type { RecordStore } from "../network/store.ts";
import type { PeerKey, Transport } from "../network/transport.ts";
import { envelopeLabel } from "./envelope.ts";
import { checkCiphertext, decryptionShare } from "./tdh2.ts";

export const SHARE_PROTOCOL = "/compute-bridge/share/1";

/** The grant and the provider's admission, as records: the member may not have seen them yet. */
export const shareRequestCodec = codec(
  strictObject({ grant: Type.Uint8Array(), admission: Type.Uint8Array() }),
  "share request",
);

export interface UnsealOptions {
  readonly coalition: Coalition;
  readonly index: number;
  /** This member's share of the unseal key. */
  readonly share: Uint8Array;
  readonly records: CoalitionRecords;
  readonly store: RecordStore;
  readonly ballot: Ballot;
  readonly evidence: ClearingView["evidence"];
  readonly nowMs: () => number;
  readonly log: Logger;
}

export function serveUnseal(transport: Transport, options: UnsealOptions): void {
  transport.handle(SHARE_PROTOCOL, SHARE_REQUEST_BYTES_MAX, (peer, bytes) => {
    const request = shareRequestCodec.decode(bytes, SHARE_REQUEST_BYTES_MAX);
    take(options.store, request.grant);
    take(options.store, request.admission);
    const { requestId, attempt } = admissionCodec.decode(
      decodeRecord(request.admission).body,
      SHARE_REQUEST_BYTES_MAX,
    );
    const admission = options.records.admissions.get(attemptKey(requestId, attempt))?.body;
    if (admission === undefined) {
      throw new BridgeError("lacks-context", "the admission is not known here", { retry: "later" });
    }
    return release(options, peer, admission);
  });
}

/** Another record of the same rank may stand here, for instance the same one signed twice. It is judged instead. */
function take(store: RecordStore, bytes: Uint8Array): void {
  try {
    store.offer(bytes);
  } catch (error) {
    if (!hasCode(error, "superseded")) throw error;
  }
}

function release(options: UnsealOptions, peer: PeerKey, admission: Admission): Uint8Array {
  const { coalition, records, ballot, log } = options;
  const grant = records.grants.get(attemptKey(admission.requestId, admission.attempt))?.body;
  const request = records.requests.get(toHex(admission.requestId))?.body;
  if (grant === undefined || request === undefined) {
    throw new BridgeError("lacks-context", "the request or grant is not known here yet", {
      retry: "later",
    });
  }
  checkAsker(options, peer, admission, grant);
  if (isAnswered(records, grant)) {
    throw new BridgeError("attempt-passed", "the provider has refused or closed this grant");
  }
  checkEvidence(options, grant, request);
  const label = envelopeLabel(coalition, request.request);
  checkCiphertext(request.sealed, label);
  ballot.release({
    requestId: grant.requestId,
    attempt: grant.attempt,
    providerId: grant.providerId,
    seq: admission.endorsement.seq,
    bootKey: admission.endorsement.bootKey,
  });
  const share = decryptionShare(options.share, request.sealed);
  log.info("share-released", { request: correlate(grant.requestId), attempt: grant.attempt });
  return seal(admission.endorsement.kemKey, share, shareContext(grant, options.index));
}

/** Only the grant's provider, in its newest instance, while the grant lives. */
function checkAsker(
  { coalition, records, nowMs }: UnsealOptions,
  peer: PeerKey,
  admission: Admission,
  grant: ComputeGrant,
): void {
  if (
    !equal(grant.providerId, admission.providerId) ||
    peer !== toHex(admission.endorsement.bootKey)
  ) {
    throw new BridgeError(
      "not-the-provider",
      "shares go to the provider the grant names, and nobody else",
    );
  }
  const card = records.cards.get(toHex(grant.providerId))?.body;
  const newest = Math.max(card?.endorsement.seq ?? 0, markerSeq(records, grant.providerId));
  if (admission.endorsement.seq < newest) {
    throw new BridgeError("stale-epoch", "a newer instance of this provider is known");
  }
  if (admission.endorsement.notAfterMs < nowMs()) {
    throw new BridgeError("expired", "the provider's endorsement has lapsed");
  }
  if (grant.validToTick < records.tick().seq || grant.notAfterMs < nowMs()) {
    throw new BridgeError("expired", "the grant has lapsed");
  }
  if (grant.committeeEpoch !== coalition.file.committee.epoch) {
    throw new BridgeError("not-eligible", "the grant is of another committee epoch");
  }
}

function markerSeq(records: CoalitionRecords, providerId: Uint8Array): number {
  return records.markers.get(toHex(providerId))?.body.endorsement.seq ?? 0;
}

/** The scheduler asked the same at the grant; the evidence may have lapsed since. */
function checkEvidence(
  { records, evidence }: UnsealOptions,
  grant: ComputeGrant,
  { request }: RequestMessage,
): void {
  const card = records.cards.get(toHex(grant.providerId))?.body;
  if (card === undefined)
    throw new BridgeError("lacks-context", "the provider's card is not known here yet", {
      retry: "later",
    });
  const reason = evidence(card, request.accept);
  if (reason !== undefined)
    throw new BridgeError("not-eligible", `the provider's evidence is not accepted: ${reason}`);
}

/** Binds a sealed share to its grant and its sender. */
export function shareContext(
  grant: ComputeGrant,
  index: number,
): { info: Uint8Array; aad: Uint8Array } {
  return {
    info: lp("compute-bridge/share/v1"),
    aad: lp(grant.requestId, u32be(grant.attempt), grant.providerId, u32be(index)),
  };
}
