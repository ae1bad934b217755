/**
 * For every state of a grant's life: how a grant is brought there, and how it may end when the provider is killed in
 * it, with its journal kept or deleted. A state that is added to the ledger does not compile here until it has a plan.
 */
import type { GrantStateName } from "../../src/ledger/state.ts";

/** What the tenant or the test does meanwhile. */
type Drive =
  /** The tenant ends its machine only after the provider has come back. */
  | "wait"
  /** The tenant ends its machine at once. */
  | "end"
  /** The machine's process is killed before it is up. */
  | "break";

export interface Plan {
  readonly drive: Drive;
  /** Set for a state so brief that it is only caught by looking out for it from this one on. */
  readonly from?: GrantStateName;
  /** A machine that no local backend can be gets its request refused. */
  readonly egress?: "none";
  readonly kept: readonly string[];
  readonly lost: readonly string[];
  /** Further endings when the kill found the grant in another state. */
  readonly missed?: readonly string[];
}

const SERVED = ["completed"];
/** The machine is gone, the receipt stands: without a journal nobody knows any more how it ended. */
const UNKNOWN_END = ["completed", "failed"];
/** Whether the receipt or the admission had left the dead provider decides; both are right. */
const EITHER = ["completed", "refused unavailable"];
const AGAIN = ["refused unavailable"];

export const PLANS: Readonly<Record<GrantStateName, Plan>> = {
  received: { drive: "wait", kept: SERVED, lost: EITHER },
  resolved: { drive: "wait", from: "received", kept: SERVED, lost: AGAIN },
  provisioning: { drive: "wait", kept: SERVED, lost: AGAIN },
  running: { drive: "wait", kept: SERVED, lost: EITHER },
  delivered: { drive: "wait", kept: SERVED, lost: SERVED },
  terminating: { drive: "end", kept: SERVED, lost: UNKNOWN_END },
  logged: { drive: "end", kept: SERVED, lost: UNKNOWN_END },
  closed: { drive: "end", kept: SERVED, lost: SERVED },
  refused: {
    ...{ drive: "wait", egress: "none" },
    ...{ kept: ["refused capacity"], lost: ["refused capacity", ...AGAIN] },
  },
  failed: { drive: "break", kept: AGAIN, lost: AGAIN, missed: ["failed"] },
};
