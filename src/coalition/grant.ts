/**
 * The grant, and the provider's two signed answers to it. A grant carries one ed25519 signature of the whole
 * committee (FROST), so anyone can check it; an admission says "I took it", a refusal says why not, with a code
 * that tells the scheduler whether another provider should be tried.
 */
import type { Bytes32 } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { taggedHash } from "../base/hash.ts";
import { ATTEMPTS_MAX } from "../base/limits.ts";
import {
  Bytes32Schema,
  codec,
  integer,
  oneOf,
  type Static,
  strictObject,
  Type,
} from "../base/schema.ts";
import { EndorsementSchema } from "./endorsement.ts";

export const GrantSchema = strictObject({
  v: Type.Literal(1),
  requestId: Bytes32Schema,
  attempt: integer(1, ATTEMPTS_MAX),
  providerId: Bytes32Schema,
  offerId: Bytes32Schema,
  cardHash: Bytes32Schema,
  pricePerHourMicros: integer(0),
  imageCommitment: Bytes32Schema,
  manifestCommitment: Bytes32Schema,
  bearerPointer: Bytes32Schema,
  /** The grant ends at this tick or this wall-clock time, whichever comes first. */
  validToTick: integer(1),
  notAfterMs: integer(1),
  committeeEpoch: integer(1),
});
export type ComputeGrant = Static<typeof GrantSchema>;
export const grantCodec = codec(GrantSchema, "grant");

export function grantId(grant: ComputeGrant): Bytes32 {
  return taggedHash("compute-bridge/grant/v1", encodeCanonical(grant));
}

/** Codes after which the committee tries another provider. */
export const REGRANTABLE_CODES = ["capacity", "quota", "draining", "busy", "unavailable"] as const;

/** Codes that end the request: another provider would have to answer the same. */
export const FINAL_CODES = [
  "expired",
  "too-short",
  "price-not-ours",
  "offer-not-ours",
  "above-cap",
  "classes-exceeded",
  "manifest-mismatch",
  "image-mismatch",
  "image-unusable",
  "envelope-unreadable",
  "superseded",
] as const;
export const REFUSAL_CODES = [...REGRANTABLE_CODES, ...FINAL_CODES] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

export function isRegrantable(code: RefusalCode): boolean {
  return (REGRANTABLE_CODES as readonly string[]).includes(code);
}

const answer = {
  v: Type.Literal(1),
  grantId: Bytes32Schema,
  requestId: Bytes32Schema,
  attempt: integer(1, ATTEMPTS_MAX),
  providerId: Bytes32Schema,
  tick: integer(0),
  endorsement: EndorsementSchema,
};

export const AdmissionSchema = strictObject(answer);
export type Admission = Static<typeof AdmissionSchema>;
export const admissionCodec = codec(AdmissionSchema, "admission");

export const RefusalSchema = strictObject({ ...answer, code: oneOf(REFUSAL_CODES) });
export type Refusal = Static<typeof RefusalSchema>;
export const refusalCodec = codec(RefusalSchema, "refusal");
