/**
 * Identities of a coalition, derived from its names and references and from nothing secret. The coalition id is
 * a name, the root adds what the coalition refers to, each module hangs off the root, and the fingerprint covers
 * the whole file: members, keys and module settings (so a module change changes the fingerprint, not the root).
 */
import { type Bytes32, concat } from "../base/bytes.ts";
import { lp, taggedHash } from "../base/hash.ts";

export const SCHEMA_VERSION = 1;
const versionByte = new Uint8Array([SCHEMA_VERSION]);

export type ModuleName = "atlas" | "almanac" | "chronicle" | "compute" | "randomness";

export function coalitionId(name: string): Bytes32 {
  return taggedHash("compute-bridge/coalition/v1", versionByte, name);
}

export interface RootReferences {
  readonly lattices: readonly Uint8Array[];
  readonly organisms: readonly Uint8Array[];
  readonly ticketIssuer?: Uint8Array | undefined;
}

/** Each list is one length-prefixed field of length-prefixed ids, so an id cannot move from list to list. */
export function coalitionRoot(id: Uint8Array, references: RootReferences): Bytes32 {
  return taggedHash(
    "compute-bridge/coalition-root/v1",
    id,
    lp(...references.lattices),
    lp(...references.organisms),
    references.ticketIssuer ?? new Uint8Array(0),
  );
}

export function moduleId(root: Uint8Array, name: ModuleName): Bytes32 {
  return taggedHash("compute-bridge/module/v1", root, name);
}

/** What records are bound to. It outlives a change of members or keys; the salt tells two deployments apart. */
export function networkId(root: Uint8Array, salt: Uint8Array): Bytes32 {
  return taggedHash("compute-bridge/network/v1", root, salt);
}

/** One per running provider, stable over reboots and releases (DESIGN section 5). */
export function providerId(operatorKey: Uint8Array, providerName: string): Bytes32 {
  return taggedHash("compute-bridge/provider/v1", operatorKey, providerName);
}

/** The key of something that belongs to one attempt of one request. */
export function attemptKey(requestId: Uint8Array, attempt: number): string {
  return Buffer.from(concat(requestId, new Uint8Array([attempt]))).toString("hex");
}
