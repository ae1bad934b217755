/** What all grants together amount to, derived from their states and never counted by hand. */
import { costMicros as machineCostMicros } from "../config/money.ts";
import type { GrantState } from "./state.ts";
import { isSettled } from "./state.ts";

export const DAY_MS = 24 * 60 * 60 * 1000;

export interface Books {
  /** Grants that are not settled and not refused. */
  readonly active: number;
  /** Of these, the ones for which no machine exists yet. */
  readonly pending: number;
  readonly cpuMillicores: number;
  readonly ramMib: number;
  /** Spend by UTC day: reserved worst cases and actuals. */
  readonly spendMicrosByDay: ReadonlyMap<number, number>;
}

export const EMPTY_BOOKS: Books = {
  active: 0,
  pending: 0,
  cpuMillicores: 0,
  ramMib: 0,
  spendMicrosByDay: new Map(),
};

/** The books after a grant went from `before` to `after`; either may be absent. */
export function rebook(
  books: Books,
  before: GrantState | undefined,
  after: GrantState | undefined,
): Books {
  const old = entry(before);
  const now = entry(after);
  const spend = new Map(books.spendMicrosByDay);
  if (before !== undefined) addTo(spend, before.spend.day, -before.spend.micros);
  if (after !== undefined) addTo(spend, after.spend.day, after.spend.micros);
  const newest = Math.max(...spend.keys());
  for (const day of spend.keys()) if (day < newest - 1) spend.delete(day);
  return {
    active: books.active + now.active - old.active,
    pending: books.pending + now.pending - old.pending,
    cpuMillicores: books.cpuMillicores + now.cpuMillicores - old.cpuMillicores,
    ramMib: books.ramMib + now.ramMib - old.ramMib,
    spendMicrosByDay: spend,
  };
}

export function dayOf(nowMs: number): number {
  return Math.floor(nowMs / DAY_MS);
}

/** What a machine costs from `fromMs` to `toMs`, rounded up to a millionth. */
export function costMicros(pricePerHourMicros: number, fromMs: number, toMs: number): number {
  return Number(machineCostMicros(pricePerHourMicros, Math.max(0, Math.ceil(toMs - fromMs))));
}

function entry(state: GrantState | undefined): Omit<Books, "spendMicrosByDay"> {
  const none = { active: 0, pending: 0, cpuMillicores: 0, ramMib: 0 };
  if (state === undefined || isSettled(state)) return none;
  switch (state.state) {
    case "received":
    case "resolved":
    case "provisioning":
      return { ...none, active: 1, pending: 1 };
    case "running":
    case "delivered":
    case "terminating": {
      const shape = state.placements[state.try]?.shape;
      return {
        active: 1,
        pending: 0,
        cpuMillicores: shape?.cpuMillicores ?? 0,
        ramMib: shape?.ramMib ?? 0,
      };
    }
    default:
      return none; // its machine, if any, is proven gone
  }
}

function addTo(spend: Map<number, number>, day: number, micros: number): void {
  const sum = (spend.get(day) ?? 0) + micros;
  if (sum === 0) spend.delete(day);
  else spend.set(day, sum);
}
