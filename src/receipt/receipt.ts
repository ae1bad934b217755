/**
 * What a requester gets back: an SSH access receipt, or the refusal that a failed grant still owes (DESIGN section 9).
 * Signed by the provider's boot key, then sealed with HPKE to a one-time key of the requester, AAD = request id,
 * attempt, provider id, and padded to one size, so that nobody can tell a receipt from a refusal.
 */
import { type Bytes32, u32be } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { type SigningKey, verify } from "../base/ed25519.ts";
import { BridgeError } from "../base/errors.ts";
import { lp } from "../base/hash.ts";
import { HPKE_OVERHEAD_BYTES, type KemKeyPair, open, seal } from "../base/hpke.ts";
import { REPLY_BYTES } from "../base/limits.ts";
import { pad, unpad } from "../base/padding.ts";
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
import { type ComputeGrant, REFUSAL_CODES } from "../coalition/grant.ts";

export const SshAccessReceiptSchema = strictObject({
  v: Type.Literal(1),
  kind: Type.Literal("receipt"),
  /** A host name or an address. It goes into files that ssh reads, so it holds nothing ssh could take otherwise. */
  instanceHost: Type.String({ pattern: "^[0-9A-Za-z:][0-9A-Za-z.:_-]{0,252}$" }),
  instancePort: integer(1, 65_535),
  user: Type.String({ pattern: "^[a-z_][a-z0-9_-]{0,31}$" }),
  /** ed25519 seed of the login key, only when the envelope carried no public key. */
  sshKeyPrivate: Type.Optional(Bytes32Schema),
  /** ed25519 host key, made on the machine. */
  sshHostKey: Bytes32Schema,
  grantId: Bytes32Schema,
  validToTick: integer(0),
  notAfterMs: integer(0),
  /** Hash of the machine's own evidence, for confidential machines. */
  evidence: Type.Optional(Bytes32Schema),
});
export type SshAccessReceipt = Static<typeof SshAccessReceiptSchema>;

export const SealedRefusalSchema = strictObject({
  v: Type.Literal(1),
  kind: Type.Literal("refusal"),
  grantId: Bytes32Schema,
  code: oneOf(REFUSAL_CODES),
  /** What the public refusal does not say, for the requester alone. */
  detail: Type.String({ maxLength: 240 }),
});
export type SealedRefusal = Static<typeof SealedRefusalSchema>;

export type ReplyContent = SshAccessReceipt | SealedRefusal;

const replyCodec = codec(
  strictObject({
    content: Type.Union([SshAccessReceiptSchema, SealedRefusalSchema]),
    signature: byteString(64),
  }),
  "reply",
);

const PLAINTEXT_BYTES = REPLY_BYTES - HPKE_OVERHEAD_BYTES;

type GrantNames = Pick<ComputeGrant, "requestId" | "attempt" | "providerId">;

/** Signs, pads and seals; the result always has REPLY_BYTES. */
export function sealReply(
  content: ReplyContent,
  grant: GrantNames,
  bootKey: SigningKey,
  recipient: Uint8Array,
): Uint8Array {
  const signature = bootKey.sign(signingInput(content));
  const body = encodeCanonical({ content, signature });
  return seal(recipient, pad(body, PLAINTEXT_BYTES, "a reply"), context(grant));
}

/** Throws `cannot-open` (another key or grant, or altered) or `wrong-signer`. */
export function openReply(
  sealed: Uint8Array,
  grant: GrantNames,
  recipient: KemKeyPair,
  bootKey: Bytes32,
): ReplyContent {
  const body = unpad(open(recipient, sealed, context(grant)), PLAINTEXT_BYTES, "a reply");
  const { content, signature } = replyCodec.decode(body, PLAINTEXT_BYTES);
  if (!verify(bootKey, signingInput(content), signature)) {
    throw new BridgeError("wrong-signer", "the reply is not signed by the provider's boot key");
  }
  return content;
}

function signingInput(content: ReplyContent): Uint8Array {
  return lp("compute-bridge/reply-content/v1", encodeCanonical(content));
}

function context(grant: GrantNames): { info: Uint8Array; aad: Uint8Array } {
  return {
    info: lp("compute-bridge/reply/v1"),
    aad: lp(grant.requestId, u32be(grant.attempt), grant.providerId),
  };
}
