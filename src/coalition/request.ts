/**
 * The public half of a request (DESIGN section 6.1): signed by a one-time key, it names classes and commitments and
 * no coalition member. The sealed envelope travels with it; bearerPointer is the hash of the sealed bytes.
 */
import type { Bytes32 } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { BridgeError } from "../base/errors.ts";
import { taggedHash } from "../base/hash.ts";
import { canSealTo } from "../base/hpke.ts";
import { ENVELOPE_BYTES, REQUEST_BYTES_MAX } from "../base/limits.ts";
import {
  Bytes32Schema,
  byteString,
  codec,
  integer,
  oneOf,
  type Static,
  strictObject,
  Type,
} from "../base/schema.ts";
import {
  isDurationClass,
  isShapeClass,
  RegionClassSchema,
  ShapeSchema,
  TeeWantSchema,
} from "./classes.ts";

/** Lowest acceptable state of the provider's platform, best first. */
export const TCB_CLASSES = ["up-to-date", "advised", "out-of-date", "unattested"] as const;

/** What the requester accepts of a provider; closed lists, so that a choice is not a fingerprint. */
export const AcceptSchema = strictObject({
  /** Release ids (hash of a measurement file); empty means any release. */
  releases: Type.Array(Bytes32Schema, { maxItems: 4 }),
  providerTee: oneOf(["none", "tdx"]),
  tcb: oneOf(TCB_CLASSES),
});
export type Accept = Static<typeof AcceptSchema>;

export const RequestSchema = strictObject({
  v: Type.Literal(1),
  /** One-time ed25519 key that signs the record. */
  key: Bytes32Schema,
  /** One-time X25519 key for what is said before the envelope is open. */
  replyKey: Bytes32Schema,
  shape: ShapeSchema,
  tee: TeeWantSchema,
  regionClass: RegionClassSchema,
  durationMs: integer(1),
  maxPricePerHourMicros: integer(0),
  accept: AcceptSchema,
  settlement: Type.Optional(Type.Uint8Array({ maxByteLength: 64 })),
  manifestCommitment: Bytes32Schema,
  imageCommitment: Bytes32Schema,
  bearerPointer: Bytes32Schema,
  /** Tick after which no grant may be made. */
  expiryTick: integer(1),
});
export type ComputeRequest = Static<typeof RequestSchema>;

/** The record's body: the request and the sealed envelope it points to. */
export const RequestMessageSchema = strictObject({
  request: RequestSchema,
  /** TDH2 ciphertext of the padded envelope. */
  sealed: byteString(ENVELOPE_BYTES),
});
export type RequestMessage = Static<typeof RequestMessageSchema>;
export const requestMessageCodec = codec(RequestMessageSchema, "request");

export function requestId(request: ComputeRequest): Bytes32 {
  return taggedHash("compute-bridge/request/v1", encodeCanonical(request));
}

export function bearerPointer(sealed: Uint8Array): Bytes32 {
  return taggedHash("compute-bridge/bearer/v1", sealed);
}

/**
 * Hash of the request without its pointer: what the envelope's ciphertext proof is bound to (the pointer depends
 * on the ciphertext, so it cannot be inside).
 */
export function requestBodyHash(request: Omit<ComputeRequest, "bearerPointer">): Bytes32 {
  const { bearerPointer: _, ...rest } = request as ComputeRequest;
  return taggedHash("compute-bridge/request-body/v1", encodeCanonical(rest));
}

/** What the schema cannot say. Throws `wrong-schema` or `too-large`. */
export function checkRequest(message: RequestMessage): void {
  const { request, sealed } = message;
  if (!canSealTo(request.replyKey)) throw wrong("replyKey is not a usable X25519 key");
  if (!isShapeClass(request.shape)) throw wrong("shape is not one of the listed classes");
  if (!isDurationClass(request.durationMs))
    throw wrong("durationMs is not one of the listed classes");
  if (Buffer.compare(bearerPointer(sealed), request.bearerPointer) !== 0) {
    throw wrong("bearerPointer is not the hash of the sealed envelope");
  }
  if (encodeCanonical(message).length > REQUEST_BYTES_MAX) {
    throw new BridgeError(
      "too-large",
      `request and envelope together exceed ${REQUEST_BYTES_MAX} bytes`,
    );
  }
}

function wrong(message: string): BridgeError {
  return new BridgeError("wrong-schema", `request: ${message}`);
}
