/**
 * The sealed half of a request: who wants what, readable only by the provider that holds the grant (and by
 * `unsealThreshold` colluding members). Padded to one size, sealed with TDH2 under a label that binds it to the
 * network, the committee epoch, the one-time key and the public body (DESIGN section 6.1).
 */
import { type Bytes32, u32be } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { BridgeError } from "../base/errors.ts";
import { lp, taggedHash } from "../base/hash.ts";
import { canSealTo } from "../base/hpke.ts";
import { ENVELOPE_BYTES } from "../base/limits.ts";
import { pad, unpad } from "../base/padding.ts";
import { Bytes32Schema, codec, integer, type Static, strictObject, Type } from "../base/schema.ts";
import { ImageKindSchema } from "../coalition/classes.ts";
import type { Coalition } from "../coalition/config.ts";
import { ManifestSchema } from "../coalition/manifest.ts";
import { type ComputeRequest, requestBodyHash } from "../coalition/request.ts";
import { encrypt, TDH2_OVERHEAD_BYTES } from "./tdh2.ts";

export const EnvelopeSchema = strictObject({
  v: Type.Literal(1),
  /** One-time ed25519 key the requester may be addressed by. */
  peerId: Bytes32Schema,
  /** X25519 key the receipt is sealed to. */
  kemKey: Bytes32Schema,
  /** ed25519 public key to log in with; without it the provider makes a key pair. */
  sshKey: Type.Optional(Bytes32Schema),
  image: strictObject({
    preHash: Bytes32Schema,
    /** SHA-256 of what the pointer delivers; all zero for kind `none`. */
    digest: Bytes32Schema,
    kind: ImageKindSchema,
    pointer: Type.String({ maxLength: 200 }),
  }),
  manifest: ManifestSchema,
  imageSalt: Bytes32Schema,
  manifestSalt: Bytes32Schema,
  regionHint: Type.String({ maxLength: 64 }),
  durationMs: integer(1),
  /** One-time ed25519 key that signs the acknowledgement. */
  ackKey: Bytes32Schema,
});
export type Envelope = Static<typeof EnvelopeSchema>;

const envelopeCodec = codec(EnvelopeSchema, "envelope");
const PLAINTEXT_BYTES = ENVELOPE_BYTES - TDH2_OVERHEAD_BYTES;

/** Throws `too-large` when the envelope does not fit; shorten the manifest's hosts or the image pointer. */
export function sealEnvelope(
  coalition: Coalition,
  request: Omit<ComputeRequest, "bearerPointer">,
  envelope: Envelope,
): Uint8Array {
  return encrypt(coalition.unsealKey, encodeEnvelope(envelope), envelopeLabel(coalition, request));
}

export function envelopeLabel(
  coalition: Coalition,
  request: Omit<ComputeRequest, "bearerPointer">,
): Uint8Array {
  const epoch = u32be(coalition.file.committee.epoch);
  return lp(
    "compute-bridge/envelope/v1",
    coalition.network,
    epoch,
    request.key,
    requestBodyHash(request),
  );
}

/** Throws `wrong-schema` for what nobody could decode again. */
export function checkEnvelope(envelope: Envelope): void {
  envelopeCodec.check(envelope);
}

/** Canonical CBOR, padded to one size. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const fix = "shorten the image pointer, the manifest's host list or its names";
  return pad(encodeCanonical(envelope), PLAINTEXT_BYTES, "the envelope", fix);
}

/** Throws `malformed`, `wrong-schema` or the other codes of canonical decoding. */
export function decodeEnvelope(plaintext: Uint8Array): Envelope {
  const bytes = unpad(plaintext, PLAINTEXT_BYTES, "the envelope");
  const envelope = envelopeCodec.decode(bytes, PLAINTEXT_BYTES);
  if (canSealTo(envelope.kemKey)) return envelope;
  throw new BridgeError("wrong-schema", "envelope: kemKey is not a usable X25519 key");
}

/** A secret that only the requester and whoever opened the envelope share. */
export function envelopeSecret(plaintext: Uint8Array): Bytes32 {
  return taggedHash("compute-bridge/envelope-secret/v1", plaintext);
}
