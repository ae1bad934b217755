/** No journal survived: carry on with what the backends, the board and the log chain still show of a grant. */
import { common } from "./endings.ts";
import type { GrantEvent } from "./events.ts";
import {
  type Ending,
  type GrantState,
  type MachineRecord,
  type Placement,
  type Resolved,
  UNKNOWN_USAGE,
} from "./state.ts";

type Inspected = Extract<GrantEvent, { type: "inspected" }>;

export function afterInspection(state: Resolved, event: Inspected, nowMs: number): GrantState {
  const chain = { ...state.chain, nextSeq: event.chain.nextSeq, head: event.chain.head };
  const { recovering: _, ...rest } = { ...state, chain };
  if (event.chain.closed && event.machines.length + event.others.length === 0)
    return { ...common(rest), state: "closed" };
  const placements: Placement[] = event.placement === undefined ? [] : [event.placement];
  const placed = { ...rest, placements, try: 0 };
  const upMs = event.sinceMs ?? state.seenMs;
  const machine: MachineRecord | undefined = event.machines[0];
  const usable =
    event.receiptPosted &&
    machine !== undefined &&
    event.machines.length === 1 &&
    event.others.length === 0;
  const late = nowMs >= state.deadlineMs;
  if (usable && !late && !event.chain.closed) {
    // A login key we made came from a secret that may be lost with the journal: the posted receipt stands as it is.
    const acked = event.acked || state.resolution.sshKey === undefined;
    return { ...placed, state: "delivered", machine, upMs, usage: UNKNOWN_USAGE, acked };
  }
  const found = [...event.machines, ...event.others].map(({ backend, name }) => ({
    backend,
    name,
  }));
  return {
    ...placed,
    state: "terminating",
    ending: endingOf(event, late),
    usage: UNKNOWN_USAGE,
    upMs,
    found,
  };
}

function endingOf(event: Inspected, late: boolean): Ending {
  if (event.chain.closed) return { next: "close" };
  if (event.receiptPosted) return { next: "log", status: late ? "expired" : "failed" };
  return {
    next: "refuse",
    code: late ? "expired" : "unavailable",
    detail: "the provider restarted before a receipt was posted",
  };
}
