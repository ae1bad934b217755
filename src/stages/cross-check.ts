/**
 * Does the opened envelope belong to this grant, and stay within what the public request named? Everything the grant
 * commits to recomputes, or the grant is invalid (DESIGN section 6.5). Pure.
 */
import { equal } from "../base/bytes.ts";
import { covers, teeSatisfies } from "../coalition/classes.ts";
import type { ComputeGrant, RefusalCode } from "../coalition/grant.ts";
import {
  imageCommitment,
  imageProblem,
  manifestCommitment,
  postHash,
  preHash,
} from "../coalition/manifest.ts";
import type { ComputeRequest } from "../coalition/request.ts";
import type { Envelope } from "../zipnet/envelope.ts";

export interface Mismatch {
  readonly code: Extract<
    RefusalCode,
    "manifest-mismatch" | "image-mismatch" | "classes-exceeded" | "image-unusable"
  >;
  readonly detail: string;
}

/** undefined when everything agrees. */
export function crossCheck(
  grant: ComputeGrant,
  request: ComputeRequest,
  envelope: Envelope,
): Mismatch | undefined {
  return (
    checkCommitments(grant, request, envelope) ??
    checkClasses(request, envelope) ??
    checkImage(envelope)
  );
}

function checkCommitments(
  grant: ComputeGrant,
  request: ComputeRequest,
  { image, manifest, manifestSalt, imageSalt }: Envelope,
): Mismatch | undefined {
  const manifestHash = preHash(manifest);
  if (!equal(manifestHash, image.preHash)) {
    return mismatch("manifest-mismatch", "image.preHash is not the hash of the manifest");
  }
  const ofManifest = manifestCommitment(manifestHash, manifestSalt);
  if (
    !equal(ofManifest, grant.manifestCommitment) ||
    !equal(ofManifest, request.manifestCommitment)
  ) {
    return mismatch("manifest-mismatch", "the manifest is not the one the grant commits to");
  }
  const ofImage = imageCommitment(postHash(manifestHash, image.digest), imageSalt);
  if (!equal(ofImage, grant.imageCommitment) || !equal(ofImage, request.imageCommitment)) {
    return mismatch("image-mismatch", "the image is not the one the grant commits to");
  }
  return undefined;
}

function checkClasses(
  request: ComputeRequest,
  { manifest, durationMs }: Envelope,
): Mismatch | undefined {
  const need = {
    cpuMillicores: manifest.minCpuMillicores,
    ramMib: manifest.minRamMib,
    storageGib: manifest.minStorageGib,
  };
  if (!covers(request.shape, need))
    return mismatch("classes-exceeded", "the manifest needs more than the requested shape");
  if (durationMs > request.durationMs)
    return mismatch("classes-exceeded", "the duration exceeds the requested class");
  // What serves a request for `any` may be either kind: a manifest that needs one of them needs more than was asked.
  const promised =
    request.tee === "any"
      ? manifest.tee === "none" || manifest.tee === "any"
      : teeSatisfies(request.tee, manifest.tee);
  if (!promised) {
    return mismatch(
      "classes-exceeded",
      `the manifest needs tee ${manifest.tee}, the request named ${request.tee}`,
    );
  }
  return undefined;
}

function checkImage({ image }: Envelope): Mismatch | undefined {
  const problem = imageProblem(image);
  return problem === undefined ? undefined : mismatch("image-unusable", problem);
}

function mismatch(code: Mismatch["code"], detail: string): Mismatch {
  return { code, detail };
}
