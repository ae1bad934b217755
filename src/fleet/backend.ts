/**
 * What a backend is: the six verbs of the original trait, plus `list`. A backend knows one cloud account, a set
 * of hosts, or this machine; it knows nothing of grants, envelopes or receipts. Every verb is idempotent by the
 * machine's name, and every failure is a BridgeError of family `backend` (classes in DESIGN section 8):
 *
 *   capacity, quota   a definite no: nothing exists, the next candidate may be tried
 *   throttle          the same call again later, with the same token
 *   auth, bug         never fails over: an operator has to look
 *   unknown-outcome   a time-out or a 5xx: the machine may exist; nothing else is tried until it is proven absent
 *   wrong-host-key    the first login met another key than the one it was pinned to; the machine is ended
 *   machine-ended     it came up and ended before it could be handed over
 *   bad-image         the image's digest does not match; no other backend would fare better
 */
import type { Bytes32 } from "../base/bytes.ts";
import type { Secret } from "../base/secret.ts";
import type { ImageKind, RegionClass, Shape, TeeKind } from "../coalition/classes.ts";
import type { Manifest } from "../coalition/manifest.ts";
import type { MachineRecord, UsageRecord } from "../ledger/state.ts";

/** One thing the backend can start right now. Offers are listed, never summed into maxima. */
export interface BackendOffer {
  /** The backend's own region name, e.g. `eu-west-1`. */
  readonly region: string;
  readonly regionClass: RegionClass;
  readonly zone: string;
  readonly shape: Shape;
  /** What the machine really has; never rounded up. */
  readonly tee: TeeKind;
  /** How many more of these could be started now. */
  readonly free: number;
  /** Millionths of the coalition's currency, per hour. */
  readonly pricePerHourMicros: number;
  readonly imageKinds: readonly ImageKind[];
}

/** What a workload needs, after the envelope is open. */
export interface MachineNeed {
  readonly shape: Shape;
  readonly manifest: Manifest;
  readonly imageKind: ImageKind;
  /** The requester's preferred region, or "" for none. */
  readonly regionHint: string;
}

export type UnfitCode =
  | "region"
  | "cpu"
  | "ram"
  | "storage"
  | "tee"
  | "image-kind"
  | "network-policy"
  | "price";

export interface Unfit {
  readonly code: UnfitCode;
  readonly reason: string;
}

/** Stands on every resource in the create call itself. Values are opaque hashes and numbers. */
export interface MachineTags {
  readonly providerId: string;
  readonly grantId: string;
  readonly attempt: number;
  readonly try: number;
  readonly deadlineMs: number;
}

export interface WorkloadImage {
  readonly kind: ImageKind;
  /** SHA-256 of what the pointer delivers; all zero for kind `none`. */
  readonly digest: Uint8Array;
  readonly pointer: string;
}

export interface MachineOrder {
  /** Derived from provider, grant, attempt, try, region, zone and shape; also the idempotency token. */
  readonly name: string;
  readonly tags: MachineTags;
  readonly region: string;
  readonly zone: string;
  readonly shape: Shape;
  readonly tee: TeeKind;
  readonly image: WorkloadImage;
  readonly egress: Manifest["networkPolicy"];
  /** Who may log in once the machine is handed over. */
  readonly loginKey: Bytes32;
  /** Seeds of the two bootstrap keys, per try (DESIGN section 8, "Host keys and first login"). */
  readonly bootstrapHostSeed: Secret;
  readonly bootstrapLoginSeed: Secret;
  /** The machine ends itself at this wall-clock time, whatever happens to us. */
  readonly deadlineMs: number;
}

/**
 * A running machine one can log in to. `instanceId` is the backend's own and never shown outside the provider; `hostKey`
 * was made on the machine after the first pinned login, and is the one the requester pins.
 */
export type Machine = MachineRecord;

/** Enough to find a machine again. */
export interface MachineRef {
  readonly backend: string;
  readonly name: string;
}

/**
 * Usage since the machine started. `unknown` is a value: an error is never reported as zero. `netBytes` is null where
 * nothing trustworthy counts them.
 */
export type Usage = UsageRecord;

export interface MachineExit {
  /** `ended` by its own or the tenant's doing, `deadline`, or `lost` (gone without a reason we saw). */
  readonly cause: "ended" | "deadline" | "lost";
  readonly usage: Usage;
}

/** A machine that carries our provider tag, whatever its state. */
export interface ListedMachine extends MachineRef {
  readonly tags: MachineTags;
  readonly createdMs: number;
  readonly state: "starting" | "running" | "ending";
  /** Present when the backend can still tell how to reach it with the host key handed out. */
  readonly machine?: Machine;
}

export interface Listing {
  readonly machines: readonly ListedMachine[];
  /** False when a region or page could not be read: what is missing is then unknown, not absent. */
  readonly complete: boolean;
}

export interface Backend {
  readonly name: string;
  /** Throws for this backend alone; the fleet carries on with the others. */
  capabilities(signal: AbortSignal): Promise<readonly BackendOffer[]>;
  /** undefined means yes. */
  canSatisfy(offer: BackendOffer, need: MachineNeed): Unfit | undefined;
  /**
   * Creates (or, with the same order, finds again) the machine, waits until it answers on ssh with the bootstrap
   * host key, rotates host and login keys, and returns it ready for the requester.
   */
  provision(order: MachineOrder, signal: AbortSignal): Promise<Machine>;
  /**
   * Resolves when the machine has ended; `onSample` gets the usage so far from time to time. Throws
   * `unknown-outcome` when the signal aborts.
   */
  watchUntilExit(
    machine: Machine,
    onSample: (usage: Usage) => void,
    signal: AbortSignal,
  ): Promise<MachineExit>;
  /** Asks for its end. `gone` means the backend says now that it does not exist. */
  terminate(machine: MachineRef, signal: AbortSignal): Promise<"gone" | "ending">;
  list(signal: AbortSignal): Promise<Listing>;
}
