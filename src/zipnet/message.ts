/**
 * A request as the transports carry it: one fixed-size message, the same for every request, so that its length
 * says nothing. length 2 ‖ canonical CBOR of {message, signature} ‖ zeros. What a record has besides (kind, network,
 * signer) follows from the message itself.
 */
import { type Bytes32, concat } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { SIGNATURE_BYTES } from "../base/ed25519.ts";
import { BridgeError } from "../base/errors.ts";
import { REQUEST_BYTES_MAX } from "../base/limits.ts";
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
  if (body.length + 2 > REQUEST_BYTES_MAX) {
    throw new BridgeError("too-large", `the request has ${body.length} bytes, ${REQUEST_BYTES_MAX - 2} fit`, {
      fix: "name fewer releases in `accept` or leave the settlement out",
    });
  }
  const packed = new Uint8Array(REQUEST_BYTES_MAX);
  packed.set(concat(new Uint8Array([body.length >> 8, body.length & 0xff]), body));
  return packed;
}

export function unpackRequest(packed: Uint8Array, network: Bytes32): SignedRecord {
  const length = ((packed[0] ?? 0) << 8) | (packed[1] ?? 0);
  if (packed.length !== REQUEST_BYTES_MAX || packed.subarray(2 + length).some((byte) => byte !== 0)) {
    throw new BridgeError("malformed", "a request message has a fixed size and zero padding");
  }
  const { message, signature } = carriedCodec.decode(packed.subarray(2, 2 + length), REQUEST_BYTES_MAX);
  return { ...unsignedRecord(network, "request", message), signer: message.request.key, signature };
}
