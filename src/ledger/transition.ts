/**
 * (state, event) → state, pure. Every legal edge of a grant's life is in this file; an event that does not apply
 * returns the state unchanged, because a completion may arrive after the grant has moved on.
 *
 *   granted → received → resolved → provisioning → running → delivered → terminating → logged → closed
 *                │           │            │            └─────────┴────────────↑
 *                └───────────┴→ refused   └→ (next try) or terminating → failed
 */
import { unreachable } from "../base/assert.ts";
import { attemptKey } from "../coalition/ids.ts";
import { costMicros, dayOf } from "./books.ts";
import { append, dropPublished, startChain } from "./chain.ts";
import type { GrantEvent } from "./events.ts";
import { type AdmissionContext, admit, grantDeadline } from "./inbox.ts";
import {
  type Ending,
  type GrantCommon,
  type GrantState,
  type MachineRecord,
  NO_USAGE,
  type Placement,
  type Provisioning,
  type Received,
  type Refused,
  type Resolved,
  type Running,
  type Terminating,
  UNKNOWN_USAGE,
} from "./state.ts";

export interface TransitionContext extends AdmissionContext {
  /** Interim log entries come at least this far apart. */
  readonly logIntervalMs: number;
}

type Event<T extends GrantEvent["type"]> = Extract<GrantEvent, { type: T }>;

/** A grant that was not known: admitted or refused. */
export function begin(event: Event<"granted">, context: TransitionContext): GrantState {
  const { grant, grantId, record, recovered } = event;
  const { nowMs } = context;
  const common = {
    v: 1,
    key: attemptKey(grant.requestId, grant.attempt),
    grantId,
    grant,
    record,
    seenMs: nowMs,
    chain: startChain(nowMs),
  } as const;
  if (recovered) {
    // It was admitted before: the caps were checked then, and refusing now could strand a machine.
    const deadlineMs = grantDeadline(grant, context);
    const micros = costMicros(grant.pricePerHourMicros, nowMs, deadlineMs);
    return {
      ...common,
      state: "received",
      recovering: true,
      deadlineMs,
      spend: { day: dayOf(nowMs), micros },
    };
  }
  const result = admit(grant, context);
  const spend = { day: dayOf(nowMs), micros: result.admitted ? result.reservedMicros : 0 };
  if (result.admitted) {
    return {
      ...common,
      state: "received",
      recovering: false,
      deadlineMs: result.deadlineMs,
      spend,
    };
  }
  const { code, detail } = result;
  return {
    ...common,
    state: "refused",
    deadlineMs: grant.notAfterMs,
    spend,
    code,
    detail,
    announced: false,
  };
}

export function transition(
  state: GrantState,
  event: GrantEvent,
  context: TransitionContext,
): GrantState {
  switch (event.type) {
    case "granted":
      return state;
    case "log-published":
      return settleLog(dropPublished(state, event.seq));
    case "announced":
      return state.state === "refused" || state.state === "failed"
        ? forget({ ...state, announced: true })
        : state;
    default:
      break;
  }
  switch (state.state) {
    case "received":
      return fromReceived(state, event, context);
    case "resolved":
      return fromResolved(state, event, context);
    case "provisioning":
      return fromProvisioning(state, event, context);
    case "running":
    case "delivered":
      return fromRunning(state, event, context);
    case "terminating":
      return event.type === "gone" ? afterGone(state, context) : state;
    case "logged":
    case "closed":
    case "refused":
    case "failed":
      return state;
    default:
      return unreachable(state);
  }
}

function fromReceived(state: Received, event: GrantEvent, context: TransitionContext): GrantState {
  switch (event.type) {
    case "opened":
      return { ...state, state: "resolved", resolution: event.resolution };
    case "rejected": {
      const refused = refuse(state, event.code, event.detail, event.resolution);
      return event.invalid ? append(refused, "invalid", NO_USAGE, context) : refused;
    }
    case "deadline":
      return refuse(state, "expired", "the grant ended before its envelope was open");
    case "end":
      return refuse(state, "draining", event.detail);
    default:
      return state;
  }
}

function fromResolved(state: Resolved, event: GrantEvent, context: TransitionContext): GrantState {
  switch (event.type) {
    case "routed": {
      const { placements } = event;
      if (placements.length === 0) return refuse(state, "capacity", event.detail, state.resolution);
      return { ...withoutRecovering(state), state: "provisioning", placements, try: 0 };
    }
    case "inspected":
      return afterInspection(state, event, context);
    case "deadline":
      // While recovering a machine may exist that only the inspection finds.
      return state.recovering
        ? state
        : refuse(
            state,
            "expired",
            "the grant ended before a machine was asked for",
            state.resolution,
          );
    case "end":
      return state.recovering ? state : refuse(state, "draining", event.detail, state.resolution);
    default:
      return state;
  }
}

function fromProvisioning(
  state: Provisioning,
  event: GrantEvent,
  context: TransitionContext,
): GrantState {
  switch (event.type) {
    case "up": {
      if (event.try !== state.try) return state;
      const { machine } = event;
      return {
        ...state,
        state: "running",
        machine,
        upMs: context.nowMs,
        usage: UNKNOWN_USAGE,
        acked: false,
      };
    }
    case "create-failed": {
      if (event.try !== state.try) return state;
      const { code, detail } = event;
      if (code === "capacity" || code === "quota") {
        if (state.try + 1 < state.placements.length) return { ...state, try: state.try + 1 };
        return refuse(state, code, detail, state.resolution, "failed");
      }
      if (code === "unknown-outcome") return terminate(state, { next: "next-try", detail });
      // Nobody else is tried for a bad image: another machine would fetch the same bytes.
      if (code === "bad-image")
        return terminate(state, { next: "refuse", code: "image-unusable", detail });
      return terminate(state, { next: "refuse", code: "unavailable", detail });
    }
    case "deadline":
      return terminate(state, {
        next: "refuse",
        code: "expired",
        detail: "the grant ended before the machine was up",
      });
    case "end":
      return terminate(state, { next: "refuse", code: "draining", detail: event.detail });
    default:
      return state;
  }
}

function fromRunning(state: Running, event: GrantEvent, context: TransitionContext): GrantState {
  switch (event.type) {
    case "posted":
      return { ...state, state: "delivered" };
    case "acked":
      return { ...state, acked: true };
    case "sampled": {
      const sampled = { ...state, usage: event.usage };
      const due = context.nowMs - state.chain.lastMs >= context.logIntervalMs;
      return due ? append(sampled, "interim", event.usage, context) : sampled;
    }
    case "exited": {
      const status =
        event.cause === "deadline" ? "expired" : event.cause === "lost" ? "failed" : "completed";
      return endRunning(
        { ...state, usage: event.usage },
        status,
        "the machine ended before its receipt was posted",
      );
    }
    case "deadline":
      return endRunning(state, "expired", "the grant ended before its receipt was posted");
    case "end":
      return endRunning(state, "failed", event.detail);
    default:
      return state;
  }
}

/** A machine whose receipt nobody can have is refused, not logged: the requester may be served elsewhere. */
function endRunning(
  state: Running,
  status: "completed" | "expired" | "failed",
  detail: string,
): Terminating {
  const undelivered = state.state === "running";
  const code = status === "expired" ? "expired" : "unavailable";
  const ending: Ending = undelivered ? { next: "refuse", code, detail } : { next: "log", status };
  return terminate(state, ending);
}

function terminate(state: Provisioning | Running, ending: Ending): Terminating {
  const running = state.state === "provisioning" ? undefined : state;
  return {
    ...common(state),
    resolution: state.resolution,
    placements: state.placements,
    try: state.try,
    state: "terminating",
    ending,
    usage: running?.usage ?? UNKNOWN_USAGE,
    upMs: running?.upMs ?? 0,
    found: [],
  };
}

function afterGone(state: Terminating, context: TransitionContext): GrantState {
  const { ending } = state;
  switch (ending.next) {
    case "next-try": {
      const { ending: _, usage: __, upMs: ___, found: ____, ...placed } = state;
      if (state.try + 1 < state.placements.length && context.nowMs < state.deadlineMs) {
        return { ...placed, state: "provisioning", try: state.try + 1 };
      }
      return refuse(state, "unavailable", ending.detail, state.resolution, "failed");
    }
    case "refuse":
      return refuse(state, ending.code, ending.detail, state.resolution, "failed");
    case "log": {
      const price =
        state.placements[state.try]?.pricePerHourMicros ?? state.grant.pricePerHourMicros;
      const micros = costMicros(price, state.upMs, Math.min(context.nowMs, state.deadlineMs));
      const logged = {
        ...common(state),
        state: "logged" as const,
        spend: { ...state.spend, micros },
      };
      return append(logged, ending.status, state.usage, context);
    }
    default:
      return unreachable(ending);
  }
}

/** No journal survived: carry on with what the backends, the board and the log chain still show. */
function afterInspection(
  state: Resolved,
  event: Event<"inspected">,
  context: TransitionContext,
): GrantState {
  const chain = { ...state.chain, nextSeq: event.chain.nextSeq, head: event.chain.head };
  const { recovering: _, ...rest } = { ...state, chain };
  if (event.chain.closed && event.machines.length + event.others.length === 0)
    return { ...common(rest), state: "closed" };
  const placements: Placement[] = event.placement === undefined ? [] : [event.placement];
  const placed = { ...rest, placements, try: 0 };
  const machine: MachineRecord | undefined = event.machines[0];
  const usable =
    event.receiptPosted &&
    machine !== undefined &&
    event.machines.length === 1 &&
    event.others.length === 0;
  if (usable && context.nowMs < state.deadlineMs && !event.chain.closed) {
    const { acked } = event;
    return {
      ...placed,
      state: "delivered",
      machine,
      upMs: state.seenMs,
      usage: UNKNOWN_USAGE,
      acked,
    };
  }
  const late = context.nowMs >= state.deadlineMs;
  const ending: Ending = event.receiptPosted
    ? { next: "log", status: late ? "expired" : "failed" }
    : {
        next: "refuse",
        code: late ? "expired" : "unavailable",
        detail: "the provider restarted before a receipt was posted",
      };
  const found = [...event.machines, ...event.others].map(({ backend, name }) => ({
    backend,
    name,
  }));
  return {
    ...placed,
    state: "terminating",
    ending,
    usage: UNKNOWN_USAGE,
    upMs: state.seenMs,
    found,
  };
}

function refuse(
  state: GrantCommon,
  code: Refused["code"],
  detail: string,
  resolution?: Refused["resolution"],
  name: Refused["state"] = "refused",
): Refused {
  const known = resolution === undefined ? {} : { resolution };
  const spend = { ...state.spend, micros: 0 };
  return { ...common(state), ...known, spend, state: name, code, detail, announced: false };
}

/** The last log entry of an ended grant is out: nothing is left. */
function settleLog(state: GrantState): GrantState {
  if (state.state !== "logged" || state.chain.outbox.length > 0) return state;
  return { ...common(state), state: "closed" };
}

/** Once the refusal is out nothing of the envelope is needed any more. */
function forget(state: Refused): Refused {
  const { resolution: _, ...rest } = state;
  return rest;
}

function withoutRecovering(state: Resolved): Omit<Resolved, "recovering"> {
  const { recovering: _, ...rest } = state;
  return rest;
}

/** The fields every state has, and no others: what a state leaves behind is forgotten on purpose. */
function common(state: GrantCommon): GrantCommon {
  const { v, key, grantId, grant, record, seenMs, deadlineMs, spend, chain } = state;
  return { v, key, grantId, grant, record, seenMs, deadlineMs, spend, chain };
}
