/**
 * (state, event) → state, pure. Every legal edge of a grant's life starts in this file; an event that does not apply
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
import {
  afterGone,
  booked,
  common,
  endRunning,
  endTerminating,
  refuse,
  terminate,
} from "./endings.ts";
import type { GrantEvent } from "./events.ts";
import { type AdmissionContext, admit, grantDeadline } from "./inbox.ts";
import { afterInspection } from "./recovery.ts";
import {
  type GrantCommon,
  type GrantState,
  NO_USAGE,
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
  if (recovered) return takeBack(common, event.admittedTick, context);
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

/**
 * It was admitted before: the caps were checked then, and refusing now could strand a machine. How long ago that was,
 * and so what it may have cost, only the ticks tell.
 */
function takeBack(
  common: Omit<GrantCommon, "deadlineMs" | "spend">,
  admittedTick: number | undefined,
  context: TransitionContext,
): Received {
  const { nowMs, nowTick, tickPeriodMs } = context;
  const agoMs = Math.max(0, nowTick - (admittedTick ?? nowTick)) * tickPeriodMs;
  const seenMs = nowMs - agoMs;
  const deadlineMs = grantDeadline(common.grant, context);
  const micros = costMicros(common.grant.pricePerHourMicros, seenMs, deadlineMs);
  const spend = { day: dayOf(nowMs), micros };
  return { ...common, seenMs, deadlineMs, spend, state: "received", recovering: true };
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
      return (state.state === "refused" || state.state === "failed") && !state.announced
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
      return fromTerminating(state, event, context);
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
      const nothing = refuse(state, event.code, event.detail, event.resolution);
      // An earlier instance may have had a machine, which is gone by now.
      const refused = state.recovering ? booked(nothing, state, context) : nothing;
      return event.invalid ? append(refused, "invalid", NO_USAGE, context) : refused;
    }
    // While recovering a machine may exist: only the stages, which look for it, may give the grant up.
    case "deadline":
      return state.recovering
        ? state
        : refuse(state, "expired", "the grant ended before its envelope was open");
    case "end":
      return state.recovering ? state : refuse(state, "draining", event.detail);
    case "answered":
      return closeUnspent(state, context);
    default:
      return state;
  }
}

function fromResolved(state: Resolved, event: GrantEvent, context: TransitionContext): GrantState {
  switch (event.type) {
    case "routed": {
      if (state.recovering) return state;
      const { placements } = event;
      if (placements.length === 0) return refuse(state, "capacity", event.detail, state.resolution);
      return { ...withoutRecovering(state), state: "provisioning", placements, try: 0 };
    }
    case "inspected":
      return state.recovering ? afterInspection(state, event, context.nowMs) : state;
    case "deadline":
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
    case "answered":
      return closeUnspent(state, context);
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
    case "answered":
      return terminate(state, { next: "close" });
    default:
      return state;
  }
}

function fromRunning(state: Running, event: GrantEvent, context: TransitionContext): GrantState {
  switch (event.type) {
    case "posted":
      return state.state === "running" ? { ...state, state: "delivered" } : state;
    // Whoever acknowledges has read the receipt, posted or not by our own account.
    case "acked":
      return state.acked ? state : { ...state, state: "delivered", acked: true };
    case "sampled": {
      const sampled = { ...state, usage: event.usage };
      const due = context.nowMs - state.chain.lastMs >= context.logIntervalMs;
      return due ? append(sampled, "interim", event.usage, context) : sampled;
    }
    case "exited": {
      const status =
        event.cause === "deadline" ? "expired" : event.cause === "lost" ? "failed" : "completed";
      return endRunning({ ...state, usage: event.usage }, status);
    }
    case "deadline":
      return endRunning(state, "expired");
    case "end":
      return endRunning(state, "failed");
    case "answered":
      return terminate(state, { next: "close" });
    default:
      return state;
  }
}

function fromTerminating(
  state: Terminating,
  event: GrantEvent,
  context: TransitionContext,
): GrantState {
  if (event.type === "gone") return afterGone(state, context);
  if (event.type === "answered") return { ...state, ending: { next: "close" } };
  return event.type === "end" ? endTerminating(state, event.detail) : state;
}

/** Another instance has answered for us. What an earlier one had started is gone by now; here nothing was asked for. */
function closeUnspent(state: Received | Resolved, context: TransitionContext): GrantState {
  const closed = { ...common(state), state: "closed" as const };
  return state.state === "received" && state.recovering
    ? booked(closed, state, context)
    : { ...closed, spend: { ...state.spend, micros: 0 } };
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
