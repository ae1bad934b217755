/**
 * The life of one grant as data. A state says all that a restart must know; what is to be done next follows from it
 * (effects.ts), so nothing that is under way lives in memory alone.
 */
import type { Bytes32 } from "../base/bytes.ts";
import type { ImageKind, RegionClass, Shape, TeeKind, TeeWant } from "../coalition/classes.ts";
import type { ComputeGrant, RefusalCode } from "../coalition/grant.ts";
import type { ComputeLog } from "../coalition/log.ts";
import type { Manifest } from "../coalition/manifest.ts";

export const GRANT_STATES = [
  "received", // admitted; the envelope is still closed
  "resolved", // opened and checked against the grant
  "provisioning", // a create call is out, or about to be
  "running", // the machine answers; its receipt is not posted yet
  "delivered", // the receipt is on the board
  "terminating", // until the backend has said twice that the machine is gone
  "logged", // the final log is written here, not yet held by the coalition
  "closed",
  "refused", // nothing was ever asked of a backend, or it definitely said no
  "failed", // something was asked of a backend and did not become a delivered machine
] as const;
export type GrantStateName = (typeof GRANT_STATES)[number];

/** Where a machine could be started, in the order in which the fleet would try. */
export interface Placement {
  readonly backend: string;
  readonly region: string;
  readonly regionClass: RegionClass;
  readonly zone: string;
  readonly shape: Shape;
  readonly tee: TeeKind;
  readonly pricePerHourMicros: number;
}

export interface MachineRecord {
  readonly backend: string;
  readonly name: string;
  readonly instanceId: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly hostKey: Bytes32;
  readonly tee: TeeKind;
}

export type UsageRecord = ComputeLog["usage"];

/** What the envelope said, as far as the rest of the grant's life needs it. */
export interface Resolution {
  /** Shared by requester and provider; the reply tags derive from it. */
  readonly secret: Bytes32;
  readonly kemKey: Bytes32;
  readonly ackKey: Bytes32;
  /** Absent: the provider derives a login key pair for this grant. */
  readonly sshKey?: Bytes32;
  readonly shape: Shape;
  readonly tee: TeeWant;
  readonly regionClass: RegionClass;
  readonly manifest: Manifest;
  readonly image: { readonly kind: ImageKind; readonly digest: Bytes32; readonly pointer: string };
  readonly regionHint: string;
}

/** A log entry as it will be published, less the endorsement that stands when it is. */
export type PendingLog = Omit<ComputeLog, "endorsement" | "v">;

export interface Chain {
  readonly nextSeq: number;
  /** Hash of the newest entry, published or pending. */
  readonly head: Bytes32;
  /** Written here, not yet held by a quorum of members; oldest first. */
  readonly outbox: readonly PendingLog[];
  readonly lastMs: number;
}

export interface GrantCommon {
  readonly v: 1;
  /** attemptKey(request id, attempt). */
  readonly key: string;
  readonly grantId: Bytes32;
  readonly grant: ComputeGrant;
  /** The grant's record, which the members want to see with the admission. */
  readonly record: Uint8Array;
  readonly seenMs: number;
  /** Earliest of the grant's own bounds and ours. */
  readonly deadlineMs: number;
  /** Worst case while open, actual once closed; counted against the day of admission. */
  readonly spend: { readonly day: number; readonly micros: number };
  readonly chain: Chain;
}

interface Opened extends GrantCommon {
  readonly resolution: Resolution;
}

interface Placed extends Opened {
  readonly placements: readonly Placement[];
  /** Index into `placements`; also the `try` in the machine's name. */
  readonly try: number;
}

interface WithMachine extends Placed {
  readonly machine: MachineRecord;
  readonly upMs: number;
  readonly usage: UsageRecord;
  readonly acked: boolean;
}

/** What happens once the machine is gone. */
export type Ending =
  | { readonly next: "log"; readonly status: "completed" | "expired" | "failed" }
  | { readonly next: "refuse"; readonly code: RefusalCode; readonly detail: string }
  | { readonly next: "next-try"; readonly detail: string }
  /** Its final log is out already: an earlier instance wrote it. */
  | { readonly next: "close" };

export type Received = GrantCommon & { readonly state: "received"; readonly recovering: boolean };
export type Resolved = Opened & { readonly state: "resolved"; readonly recovering: boolean };
export type Provisioning = Placed & { readonly state: "provisioning" };
export type Running = WithMachine & { readonly state: "running" | "delivered" };
export type Terminating = Placed & {
  readonly state: "terminating";
  readonly ending: Ending;
  readonly usage: UsageRecord;
  /** 0 when no machine ever answered. */
  readonly upMs: number;
  /** The machines by their names; empty while none has answered: then it is the one of this try, if any. */
  readonly found: readonly { readonly backend: string; readonly name: string }[];
};
export type Logged = GrantCommon & { readonly state: "logged" };
export type Closed = GrantCommon & { readonly state: "closed" };
export type Refused = GrantCommon & {
  readonly state: "refused" | "failed";
  readonly code: RefusalCode;
  readonly detail: string;
  /** The refusal is held by a quorum of members. */
  readonly announced: boolean;
  readonly resolution?: Resolution;
};

export type GrantState =
  | Received
  | Resolved
  | Provisioning
  | Running
  | Terminating
  | Logged
  | Closed
  | Refused;

/** Nothing is left to do. */
export function isSettled(state: GrantState): boolean {
  if (state.state === "closed") return true;
  return (
    (state.state === "refused" || state.state === "failed") &&
    state.announced &&
    state.chain.outbox.length === 0
  );
}

export const NO_USAGE: UsageRecord = {
  cpuCoreMs: 0,
  ramMibSeconds: 0,
  netBytes: null,
  basis: "none",
};
export const UNKNOWN_USAGE: UsageRecord = { ...NO_USAGE, basis: "unknown" };
