/** An opened envelope must be the one its grant commits to, and stay within what its request named (DESIGN section 6.5). */
import { describe, expect, test } from "bun:test";
import type { TeeWant } from "../../src/coalition/classes.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import {
  imageCommitment,
  type Manifest,
  manifestCommitment,
  postHash,
  preHash,
} from "../../src/coalition/manifest.ts";
import type { ComputeRequest } from "../../src/coalition/request.ts";
import { crossCheck } from "../../src/stages/cross-check.ts";
import type { Envelope } from "../../src/zipnet/envelope.ts";
import { id, sampleGrant, sampleResolution } from "../ledger/samples.ts";

interface Opened {
  readonly grant: ComputeGrant;
  readonly request: ComputeRequest;
  readonly envelope: Envelope;
}

interface Choice {
  readonly manifest?: Partial<Manifest>;
  readonly image?: Partial<Envelope["image"]>;
  readonly tee?: TeeWant;
}

/** An envelope, the request that commits to it, and the grant that repeats the commitments. */
function agreed({ manifest: changed, image: chosen, tee = "none" }: Choice = {}): Opened {
  const manifest: Manifest = { ...sampleResolution.manifest, ...changed };
  const image = { ...sampleResolution.image, ...chosen, preHash: preHash(manifest) };
  const envelope: Envelope = {
    v: 1,
    peerId: id(20),
    kemKey: id(21),
    image,
    manifest,
    imageSalt: id(22),
    manifestSalt: id(23),
    regionHint: "",
    durationMs: 60_000,
    ackKey: id(24),
  };
  const commitments = {
    manifestCommitment: manifestCommitment(preHash(manifest), envelope.manifestSalt),
    imageCommitment: imageCommitment(postHash(preHash(manifest), image.digest), envelope.imageSalt),
  };
  const request: ComputeRequest = {
    v: 1,
    key: id(30),
    replyKey: id(31),
    shape: { cpuMillicores: 1000, ramMib: 1024, storageGib: 4 },
    tee,
    regionClass: "any",
    durationMs: 60_000,
    maxPricePerHourMicros: 1,
    accept: { releases: [], providerTee: "none", tcb: "unattested" },
    bearerPointer: id(32),
    expiryTick: 50,
    ...commitments,
  };
  return { grant: sampleGrant(commitments), request, envelope };
}

const verdict = ({ grant, request, envelope }: Opened): string | undefined =>
  crossCheck(grant, request, envelope)?.code;

const OCI = { kind: "oci", digest: id(40), pointer: "registry.example/image" } as const;

describe("what agrees passes", () => {
  const fine: readonly (readonly [string, Choice])[] = [
    ["a bare machine", {}],
    ["an image by its digest", { image: OCI }],
    ["a manifest that needs less than the shape", { manifest: { minRamMib: 1 } }],
    ["a TEE that any will do for", { tee: "any", manifest: { tee: "any" } }],
    ["tdx as requested", { tee: "tdx", manifest: { tee: "tdx" } }],
    ["sev-snp as requested", { tee: "sev-snp", manifest: { tee: "sev-snp" } }],
    ["a TEE that the program does not need", { tee: "tdx", manifest: { tee: "none" } }],
  ];
  test.each(fine)("%s", (_, choice) => {
    expect(verdict(agreed(choice))).toBeUndefined();
  });
});

describe("every disagreement has its code", () => {
  const flaws: readonly (readonly [string, string, (opened: Opened) => Opened])[] = [
    [
      "another manifest than its own hash",
      "manifest-mismatch",
      (of) => ({
        ...of,
        envelope: { ...of.envelope, manifest: { ...of.envelope.manifest, minRamMib: 7 } },
      }),
    ],
    [
      "a manifest nobody committed to",
      "manifest-mismatch",
      (of) => ({ ...of, envelope: agreed({ manifest: { minRamMib: 7 } }).envelope }),
    ],
    [
      "another manifest salt",
      "manifest-mismatch",
      (of) => ({ ...of, envelope: { ...of.envelope, manifestSalt: id(99) } }),
    ],
    [
      "a grant of another manifest",
      "manifest-mismatch",
      (of) => ({ ...of, grant: { ...of.grant, manifestCommitment: id(99) } }),
    ],
    [
      "a request of another manifest",
      "manifest-mismatch",
      (of) => ({ ...of, request: { ...of.request, manifestCommitment: id(99) } }),
    ],
    [
      "another image",
      "image-mismatch",
      (of) => ({ ...of, envelope: { ...of.envelope, image: { ...of.envelope.image, ...OCI } } }),
    ],
    [
      "another image salt",
      "image-mismatch",
      (of) => ({ ...of, envelope: { ...of.envelope, imageSalt: id(99) } }),
    ],
    [
      "a grant of another image",
      "image-mismatch",
      (of) => ({ ...of, grant: { ...of.grant, imageCommitment: id(99) } }),
    ],
    [
      "a request of another image",
      "image-mismatch",
      (of) => ({ ...of, request: { ...of.request, imageCommitment: id(99) } }),
    ],
    [
      "a longer duration",
      "classes-exceeded",
      (of) => ({ ...of, envelope: { ...of.envelope, durationMs: 60_001 } }),
    ],
  ];
  test.each(flaws)("%s is %s", (_, code, flaw) => {
    expect(verdict(flaw(agreed()))).toBe(code);
  });

  const greedy: readonly (readonly [string, string, Choice])[] = [
    ["more cpu", "classes-exceeded", { manifest: { minCpuMillicores: 1001 } }],
    ["more ram", "classes-exceeded", { manifest: { minRamMib: 1025 } }],
    ["more storage", "classes-exceeded", { manifest: { minStorageGib: 5 } }],
    ["a TEE where none was named", "classes-exceeded", { manifest: { tee: "any" } }],
    ["tdx under a request for any", "classes-exceeded", { tee: "any", manifest: { tee: "tdx" } }],
    ["sev-snp under any", "classes-exceeded", { tee: "any", manifest: { tee: "sev-snp" } }],
    ["tdx under sev-snp", "classes-exceeded", { tee: "sev-snp", manifest: { tee: "tdx" } }],
    ["sev-snp under tdx", "classes-exceeded", { tee: "tdx", manifest: { tee: "sev-snp" } }],
    ["a bare machine with a pointer", "image-unusable", { image: { pointer: "somewhere" } }],
    ["a bare machine with a digest", "image-unusable", { image: { digest: id(40) } }],
    ["an image without a digest", "image-unusable", { image: { ...OCI, digest: id(0) } }],
    ["an image without a pointer", "image-unusable", { image: { ...OCI, pointer: "" } }],
  ];
  test.each(greedy)("%s is %s", (_, code, choice) => {
    expect(verdict(agreed(choice))).toBe(code);
  });
});
