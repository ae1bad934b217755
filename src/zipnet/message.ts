/**
 * A request as the transports carry it: one fixed-size message, the same for every request, so that its length
 * says nothing: canonical CBOR of {message, signature}, padded. What a record has besides (kind, network,
 * signer) follows from the message itself.
 */
import type { Bytes32 } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { SIGNATURE_BYTES } from "../base/ed25519.ts";
import { REQUEST_BYTES_MAX } from "../base/limits.ts";
import { pad, unpad } from "../base/padding.ts";
import { byteString, codec, strictObject } from "../base/schema.ts";
import { RequestMessageSchema, requestMessageCodec } from "../coalition/request.ts";
import { type SignedRecord, unsignedRecord } from "../network/record.ts";

const carriedCodec = codec(
  strictObject({ message: RequestMessageSchema, signature: byteString(SIGNATURE_BYTES) }),
  "request message",
);

export function packRequest(record: SignedRecord): Uint8Array {
  const message = requestMessageCodec.decode(record.body, REQUEST_BYTES_MAX);
  const body = encodeCanonical({ message, signature: record.signature });
  return pad(
    body,
    REQUEST_BYTES_MAX,
    "the request",
    "name fewer releases in `accept` or leave the settlement out",
  );
}

export function unpackRequest(packed: Uint8Array, network: Bytes32): SignedRecord {
  const { message, signature } = carriedCodec.decode(
    unpad(packed, REQUEST_BYTES_MAX, "a request message"),
    REQUEST_BYTES_MAX,
  );
  return { ...unsignedRecord(network, "request", message), signer: message.request.key, signature };
}
