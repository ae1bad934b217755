/**
 * The last steps of a grant's life: ending its machine, and what follows once the machine is gone. Once something was
 * asked of a backend, no way leads past `terminating`.
 */
import { unreachable } from "../base/assert.ts";
import { REFUSAL_DETAIL_CHARS_MAX } from "../base/limits.ts";
import { costMicros } from "./books.ts";
import { append } from "./chain.ts";
import {
  type Ending,
  type GrantCommon,
  type GrantState,
  type Provisioning,
  type Received,
  type Refused,
  type Running,
  type Terminating,
  UNKNOWN_USAGE,
} from "./state.ts";

interface Now {
  readonly nowMs: number;
  readonly nowTick: number;
}

/**
 * Always into a log: its receipt may have been read before we know that it is posted, and a refusal would have the
 * committee start a second machine for a request that was served.
 */
export function endRunning(
  state: Running,
  status: "completed" | "expired" | "failed",
): Terminating {
  return terminate(state, { next: "log", status });
}

export function terminate(state: Provisioning | Running, ending: Ending): Terminating {
  const running = state.state === "provisioning" ? undefined : state;
  return {
    ...common(state),
    resolution: state.resolution,
    placements: state.placements,
    try: state.try,
    state: "terminating",
    ending: "detail" in ending ? { ...ending, detail: bounded(ending.detail) } : ending,
    usage: running?.usage ?? UNKNOWN_USAGE,
    upMs: running?.upMs ?? 0,
    // By the name it has: the one this try derives differs for a machine that was adopted after a lost journal.
    found:
      running === undefined
        ? []
        : [{ backend: running.machine.backend, name: running.machine.name }],
  };
}

/** The operator's end also stops a grant whose next try was about to follow. */
export function endTerminating(state: Terminating, detail: string): Terminating {
  if (state.ending.next !== "next-try") return state;
  return { ...state, ending: { next: "refuse", code: "draining", detail: bounded(detail) } };
}

export function afterGone(state: Terminating, now: Now): GrantState {
  const { ending } = state;
  switch (ending.next) {
    case "next-try": {
      const late = now.nowMs >= state.deadlineMs;
      if (!late && state.try + 1 < state.placements.length) {
        const { ending: _, usage: __, upMs: ___, found: ____, ...placed } = state;
        return { ...placed, state: "provisioning", try: state.try + 1 };
      }
      return fail(state, late ? "expired" : "unavailable", ending.detail, now);
    }
    case "refuse":
      return fail(state, ending.code, ending.detail, now);
    case "log": {
      const logged = { ...common(state), state: "logged" as const };
      return append(booked(logged, state, now), ending.status, state.usage, now);
    }
    case "close":
      return booked({ ...common(state), state: "closed" as const }, state, now);
    default:
      return unreachable(ending);
  }
}

function fail(state: Terminating, code: Refused["code"], detail: string, now: Now): Refused {
  return booked(refuse(state, code, detail, state.resolution, "failed"), state, now);
}

/**
 * `ended` with the actual instead of the reserved cost. Backends bill from the create call on: at the earliest when the
 * grant was taken, or an adopted machine created. With a clock that was set back nobody knows, and the reservation
 * stands.
 */
export function booked<S extends GrantCommon>(
  ended: S,
  state: Terminating | Received,
  { nowMs }: Now,
): S {
  const { seenMs, deadlineMs, spend, grant } = state;
  const had = state.state === "terminating" ? state : undefined;
  const price = had?.placements[had.try]?.pricePerHourMicros ?? grant.pricePerHourMicros;
  const fromMs = had !== undefined && had.upMs > 0 ? Math.min(had.upMs, seenMs) : seenMs;
  if (nowMs < fromMs) return { ...ended, spend };
  return {
    ...ended,
    spend: { ...spend, micros: costMicros(price, fromMs, Math.min(nowMs, deadlineMs)) },
  };
}

/** For a grant that has cost nothing. */
export function refuse(
  state: GrantCommon,
  code: Refused["code"],
  detail: string,
  resolution?: Refused["resolution"],
  name: Refused["state"] = "refused",
): Refused {
  const known = resolution === undefined ? {} : { resolution };
  const spend = { ...state.spend, micros: 0 };
  return {
    ...common(state),
    ...known,
    spend,
    state: name,
    code,
    detail: bounded(detail),
    announced: false,
  };
}

/** The fields every state has, and no others: what a state leaves behind is forgotten on purpose. */
export function common(state: GrantCommon): GrantCommon {
  const { v, key, grantId, grant, record, seenMs, deadlineMs, spend, chain } = state;
  return { v, key, grantId, grant, record, seenMs, deadlineMs, spend, chain };
}

/** A backend's error text may be a whole page, or no well-formed text; neither may keep a row from being written. */
function bounded(detail: string): string {
  return detail.slice(0, REFUSAL_DETAIL_CHARS_MAX).toWellFormed();
}
