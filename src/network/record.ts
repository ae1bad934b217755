/**
 * Signed records, the only thing the network stores or passes on (DESIGN section 4):
 * {kind, version, networkId, body, signer, signature}, with an ed25519 signature over
 * lp(tag, networkId, kind, version, body). The body is canonical CBOR; who may sign what is the collection's rule.
 */
import { type Bytes32, equal, u32be } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { SIGNATURE_BYTES, type SigningKey, verify } from "../base/ed25519.ts";
import { BridgeError } from "../base/errors.ts";
import { lp, taggedHash } from "../base/hash.ts";
import { RECORD_BYTES_MAX } from "../base/limits.ts";
import {
  Bytes32Schema,
  byteString,
  codec,
  integer,
  type Static,
  strictObject,
  Type,
} from "../base/schema.ts";

const RecordSchema = strictObject({
  kind: Type.String({ minLength: 1, maxLength: 32 }),
  version: integer(1, 255),
  network: Bytes32Schema,
  body: Type.Uint8Array({ maxByteLength: RECORD_BYTES_MAX }),
  signer: Bytes32Schema,
  signature: byteString(SIGNATURE_BYTES),
});
export type SignedRecord = Static<typeof RecordSchema>;

const recordCodec = codec(RecordSchema, "record");

/** What of a record is settled before it is signed. */
export type UnsignedRecord = Omit<SignedRecord, "signer" | "signature">;

export function unsignedRecord(network: Bytes32, kind: string, body: unknown): UnsignedRecord {
  return { kind, version: 1, network, body: encodeCanonical(body) };
}

/** The bytes under the signature. A threshold signature is made over the same bytes. */
export function signingInput(record: UnsignedRecord): Uint8Array {
  return lp(
    "compute-bridge/record/v1",
    record.network,
    record.kind,
    u32be(record.version),
    record.body,
  );
}

export function signRecord(
  key: SigningKey,
  network: Bytes32,
  kind: string,
  body: unknown,
): SignedRecord {
  const unsigned = unsignedRecord(network, kind, body);
  return { ...unsigned, signer: key.publicKey, signature: key.sign(signingInput(unsigned)) };
}

export function encodeRecord(record: SignedRecord): Uint8Array {
  return encodeCanonical(record);
}

/** Bounded, canonical, schema-checked; no signature is checked yet. */
export function decodeRecord(bytes: Uint8Array): SignedRecord {
  return recordCodec.decode(bytes, RECORD_BYTES_MAX);
}

/** Throws `wrong-network` or `bad-signature`. */
export function checkSignature(record: SignedRecord, network: Bytes32): void {
  if (!equal(record.network, network)) {
    throw new BridgeError("wrong-network", "the record belongs to another network");
  }
  if (!verify(record.signer, signingInput(record), record.signature)) {
    throw new BridgeError(
      "bad-signature",
      `the signature on this ${record.kind} record does not hold`,
    );
  }
}

/** Names the exact bytes, signature included. */
export function recordId(bytes: Uint8Array): Bytes32 {
  return taggedHash("compute-bridge/record-id/v1", bytes);
}
