/**
 * The workload's manifest and the hashes that stand for it. preHash covers the manifest, postHash also the image
 * (and, for a confidential image, its measurements); the public grant carries only salted commitments to both,
 * because the hash of an unusual image is an identity (DESIGN section 6.5).
 */
import type { Bytes32 } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { taggedHash } from "../base/hash.ts";
import { integer, oneOf, type Static, strictObject, Type } from "../base/schema.ts";
import { type ImageKind, TeeWantSchema } from "./classes.ts";

export const ManifestSchema = strictObject({
  v: Type.Literal(1),
  /** The program's source: name, version, and the hash of its tree where there is one. */
  crate: strictObject({
    name: Type.String({ maxLength: 64 }),
    version: Type.String({ maxLength: 32 }),
    tree: Type.String({ pattern: "^([0-9a-f]{40}|[0-9a-f]{64})?$" }),
  }),
  minCpuMillicores: integer(1, 1_024_000),
  minRamMib: integer(1, 16_777_216),
  minStorageGib: integer(0, 65_536),
  tee: TeeWantSchema,
  networkPolicy: strictObject({
    egress: oneOf(["none", "open", "allowlist"]),
    hosts: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { maxItems: 8 }),
  }),
});
export type Manifest = Static<typeof ManifestSchema>;

export function preHash(manifest: Manifest): Bytes32 {
  return taggedHash("compute-bridge/manifest/v1", encodeCanonical(manifest));
}

/** `measurements` are the registers of a confidential image in the order MRTD, RTMR0, RTMR1, RTMR2. */
export function postHash(
  manifestHash: Uint8Array,
  imageDigest: Uint8Array,
  measurements: readonly Uint8Array[] = [],
): Bytes32 {
  return taggedHash("compute-bridge/post-hash/v1", manifestHash, imageDigest, ...measurements);
}

export function manifestCommitment(manifestHash: Uint8Array, salt: Uint8Array): Bytes32 {
  return taggedHash("compute-bridge/manifest-commitment/v1", manifestHash, salt);
}

export function imageCommitment(imageHash: Uint8Array, salt: Uint8Array): Bytes32 {
  return taggedHash("compute-bridge/image-commitment/v1", imageHash, salt);
}

/** Why this cannot be the image of a workload, if so: kind, digest and pointer go together. */
export function imageProblem(image: {
  readonly kind: ImageKind;
  readonly digest: Uint8Array;
  readonly pointer: string;
}): string | undefined {
  const hasDigest = image.digest.some((byte) => byte !== 0);
  if (image.kind === "none")
    return hasDigest || image.pointer !== ""
      ? "an image of kind none has no pointer and no digest"
      : undefined;
  return hasDigest && image.pointer !== ""
    ? undefined
    : `an image of kind ${image.kind} needs a digest and a pointer`;
}
