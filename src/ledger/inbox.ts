/**
 * What is checked before anything is spent on a grant (DESIGN section 6.3). Pure: the first failing check gives the
 * refusal's code. Addressing, the committee's signature and duplicates are settled before a grant gets here.
 */
import type { ComputeGrant, RefusalCode } from "../coalition/grant.ts";
import { type Books, costMicros, dayOf } from "./books.ts";

export interface Caps {
  readonly grantsMax: number;
  readonly spendPerDayMicros: number;
  readonly spendPerGrantMicros: number;
  readonly durationMaxMs: number;
  /** Below this much remaining life a machine is not worth starting. */
  readonly remainingLifeMinMs: number;
  /** True: admit nothing. */
  readonly killSwitch: boolean;
}

/** Whether this instance takes work: `fenced` once a newer instance of the same provider is known. */
export type Standing = "serving" | "draining" | "fenced" | "retired";

export interface AdmissionContext {
  readonly nowMs: number;
  readonly nowTick: number;
  readonly tickPeriodMs: number;
  readonly committeeEpoch: number;
  readonly standing: Standing;
  readonly caps: Caps;
  readonly books: Books;
  /** The hourly price under which we publish this offer, or undefined when it is not ours. */
  readonly priceOf: (offerId: Uint8Array) => number | undefined;
}

export type AdmissionResult =
  | { readonly admitted: true; readonly deadlineMs: number; readonly reservedMicros: number }
  | { readonly admitted: false; readonly code: RefusalCode; readonly detail: string };

export function admit(grant: ComputeGrant, context: AdmissionContext): AdmissionResult {
  const { nowMs, caps, books } = context;
  const deadlineMs = grantDeadline(grant, context);
  const reservedMicros = costMicros(grant.pricePerHourMicros, nowMs, deadlineMs);
  const refusal = firstRefusal(grant, context, deadlineMs, reservedMicros);
  if (refusal !== undefined) return { admitted: false, ...refusal };
  const today = (books.spendMicrosByDay.get(dayOf(nowMs)) ?? 0) + reservedMicros;
  if (today > caps.spendPerDayMicros) return no("busy", "the day's spending cap is reached");
  return { admitted: true, deadlineMs, reservedMicros };
}

/** Earliest of the wall-clock bound, what the remaining ticks should take, and our own longest duration. */
export function grantDeadline(
  grant: ComputeGrant,
  {
    nowMs,
    nowTick,
    tickPeriodMs,
    caps,
  }: Pick<AdmissionContext, "nowMs" | "nowTick" | "tickPeriodMs" | "caps">,
): number {
  const byTicks = nowMs + Math.max(0, grant.validToTick - nowTick) * tickPeriodMs;
  return Math.min(grant.notAfterMs, byTicks, nowMs + caps.durationMaxMs);
}

function firstRefusal(
  grant: ComputeGrant,
  { nowMs, nowTick, standing, caps, books, priceOf, committeeEpoch }: AdmissionContext,
  deadlineMs: number,
  reservedMicros: number,
): { code: RefusalCode; detail: string } | undefined {
  if (standing !== "serving") return { code: "draining", detail: `the provider is ${standing}` };
  if (caps.killSwitch) return { code: "unavailable", detail: "the operator has stopped new work" };
  if (grant.committeeEpoch !== committeeEpoch)
    return { code: "superseded", detail: "another committee epoch" };
  if (grant.validToTick < nowTick || grant.notAfterMs <= nowMs)
    return { code: "expired", detail: "the grant has lapsed" };
  if (deadlineMs - nowMs < caps.remainingLifeMinMs) {
    return { code: "too-short", detail: `less than ${caps.remainingLifeMinMs} ms of life left` };
  }
  const price = priceOf(grant.offerId);
  if (price === undefined)
    return { code: "offer-not-ours", detail: "the offer is not one of ours" };
  if (price !== grant.pricePerHourMicros)
    return { code: "price-not-ours", detail: "the price is not the offer's" };
  if (books.active >= caps.grantsMax)
    return { code: "busy", detail: `${caps.grantsMax} grants are active` };
  if (reservedMicros > caps.spendPerGrantMicros) {
    return { code: "above-cap", detail: "its worst case exceeds the spending cap per grant" };
  }
  return undefined;
}

function no(code: RefusalCode, detail: string): AdmissionResult {
  return { admitted: false, code, detail };
}
