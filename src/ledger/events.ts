/** What can happen to a grant. Each event is applied once, by one writer, in the order of the queue. */

import type { Bytes32 } from "../base/bytes.ts";
import type { ErrorCode } from "../base/errors.ts";
import type { ComputeGrant, RefusalCode } from "../coalition/grant.ts";
import type { MachineRecord, Placement, Resolution, UsageRecord } from "./state.ts";

export type GrantEvent =
  /** A grant addressed to us arrived. `recovered`: an earlier instance had admitted it, at `admittedTick`. */
  | {
      readonly type: "granted";
      readonly grantId: Bytes32;
      readonly grant: ComputeGrant;
      readonly record: Uint8Array;
      readonly recovered: boolean;
      readonly admittedTick?: number;
    }
  /** The envelope is open and agrees with the grant. */
  | { readonly type: "opened"; readonly resolution: Resolution }
  /** It does not, or cannot be opened; `invalid` marks the grant with an empty log. */
  | {
      readonly type: "rejected";
      readonly code: RefusalCode;
      readonly detail: string;
      readonly invalid: boolean;
      readonly resolution?: Resolution;
    }
  | { readonly type: "routed"; readonly placements: readonly Placement[]; readonly detail: string }
  /** After a restart without a journal: what backends, board and log chain still know. */
  | {
      readonly type: "inspected";
      readonly machines: readonly MachineRecord[];
      readonly others: readonly { readonly backend: string; readonly name: string }[];
      readonly placement: Placement | undefined;
      /** When the oldest of the machines was created. */
      readonly sinceMs: number | undefined;
      readonly receiptPosted: boolean;
      readonly acked: boolean;
      readonly chain: {
        readonly nextSeq: number;
        readonly head: Bytes32;
        readonly closed: boolean;
      };
    }
  | { readonly type: "up"; readonly try: number; readonly machine: MachineRecord }
  | {
      readonly type: "create-failed";
      readonly try: number;
      readonly code: ErrorCode;
      readonly detail: string;
    }
  | { readonly type: "posted" }
  | { readonly type: "acked" }
  | { readonly type: "sampled"; readonly usage: UsageRecord }
  | {
      readonly type: "exited";
      readonly cause: "ended" | "deadline" | "lost";
      readonly usage: UsageRecord;
    }
  /** The earliest of tick, wall clock and monotonic estimate has passed. */
  | { readonly type: "deadline" }
  /** The coalition holds a refusal or a final log of this grant that another instance of this provider has signed. */
  | { readonly type: "answered" }
  /** The operator ends it (drain with --terminate). */
  | { readonly type: "end"; readonly detail: string }
  | { readonly type: "gone" }
  | { readonly type: "log-published"; readonly seq: number }
  | { readonly type: "announced" };
