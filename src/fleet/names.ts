/**
 * Names, tokens and bootstrap keys of machines. All derive from what is being started, so a create call that is issued
 * again after a crash is byte-identical, and one that differs in anything has another name (an idempotency token that
 * is used for two shapes is an error in every cloud).
 */
import { hkdfSync } from "node:crypto";
import { type Bytes32, toHex, u32be } from "../base/bytes.ts";
import { lp, taggedHash } from "../base/hash.ts";
import { Secret } from "../base/secret.ts";

export interface MachineIdentity {
  readonly providerId: Uint8Array;
  readonly grantId: Uint8Array;
  readonly attempt: number;
  readonly try: number;
  readonly region: string;
  readonly zone: string;
  readonly cpuMillicores: number;
  readonly ramMib: number;
  readonly storageGib: number;
}

/** `cb-` and 36 hex digits: within every cloud's limits for names and tokens, and opaque. */
export function machineName(identity: MachineIdentity): string {
  const { providerId, grantId, attempt, region, zone, cpuMillicores, ramMib, storageGib } =
    identity;
  const hash = taggedHash(
    "compute-bridge/machine-name/v1",
    providerId,
    grantId,
    u32be(attempt),
    u32be(identity.try),
    region,
    zone,
    u32be(cpuMillicores),
    u32be(ramMib),
    u32be(storageGib),
  );
  return `cb-${toHex(hash).slice(0, 36)}`;
}

export type DerivedKey = "bootstrap-host" | "bootstrap-login" | "tenant-login";

/** A 32-byte seed from this host's own secret; nobody else can compute it, and we need not store it. */
export function derivedSeed(localSecret: Secret, name: string, purpose: DerivedKey): Secret {
  const info = lp("compute-bridge/machine-key/v1", purpose, name);
  return new Secret(
    new Uint8Array(
      hkdfSync("sha256", localSecret.reveal(), new Uint8Array(0), info, 32),
    ) as Bytes32,
  );
}
