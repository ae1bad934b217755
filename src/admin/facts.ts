/**
 * What the admin endpoint may know of its provider: totals, names from the configuration, and words from closed lists,
 * all taken at one moment. Nothing here has room for a requester, a peer, a grant, a machine's id or an image; what
 * fills it from the running provider is provider-source.ts, what is shown of it is decided by schemas.ts.
 */
import { ERROR_CODES, type ErrorCode } from "../base/errors.ts";
import { CARD_STATUSES } from "../coalition/card.ts";
import { REFUSAL_CODES, type RefusalCode } from "../coalition/grant.ts";
import { LOG_STATUSES } from "../coalition/log.ts";
import type { UnfitCode } from "../fleet/backend.ts";
import type { Standing } from "../ledger/inbox.ts";
import type { GrantStateName } from "../ledger/state.ts";

export { CARD_STATUSES };
export const STANDINGS = [
  "serving",
  "draining",
  "fenced",
  "retired",
] as const satisfies readonly Standing[];
export const ALL_ERROR_CODES: readonly ErrorCode[] = Object.values(ERROR_CODES).flat();

export const ORDERS = ["drain", "resume", "retire"] as const;
/** What an operator may ask for over the endpoint. */
export type Order = (typeof ORDERS)[number];

export const EVENT_KINDS = [
  "grant-admitted",
  "grant-recovered",
  "grant-refused",
  "grant-failed",
  "create-failed",
  "machine-up",
  "receipt-posted",
  "grant-ended",
  "backend-failing",
  "backend-ok",
  "journal-failing",
  "journal-ok",
  "standing",
  "operator",
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** The only words an event may carry besides a backend's name. */
export const EVENT_CODES = [
  ...new Set<string>([
    ...REFUSAL_CODES,
    ...LOG_STATUSES,
    ...STANDINGS,
    ...ORDERS,
    ...ALL_ERROR_CODES,
  ]),
];

export interface AdminEvent {
  /** Start of the minute it happened in: with few grants an exact time would point at one (W-ANON-7). */
  readonly minuteMs: number;
  readonly kind: EventKind;
  readonly backend?: string;
  readonly code?: string;
}

export const LEFT_OUT_CODES = [
  "tee",
  "region",
  "price",
  "capacity",
  "cpu",
  "ram",
  "storage",
  "image-kind",
  "network-policy",
  "other",
] as const satisfies readonly (UnfitCode | "capacity" | "other")[];
export type LeftOutCode = (typeof LEFT_OUT_CODES)[number];

export interface LeftOutCount {
  readonly backend: string;
  readonly code: LeftOutCode;
  readonly count: number;
}

export const BLOCKED_WIDTHS = ["backend", "region", "zone"] as const;

/** A breaker that is open: how much of the backend it holds back, and for how much longer. */
export interface BlockedFacts {
  readonly width: (typeof BLOCKED_WIDTHS)[number];
  readonly region: string;
  readonly zone: string;
  readonly code: ErrorCode;
  readonly clearsInMs: number;
}

export interface BackendFacts {
  readonly name: string;
  /** undefined until it has been asked. */
  readonly ok: boolean | undefined;
  readonly lastOkMs: number | undefined;
  readonly error: ErrorCode | undefined;
  readonly offers: number;
  readonly free: number;
  readonly machines: {
    readonly starting: number;
    readonly running: number;
    readonly ending: number;
  };
  readonly blocked: readonly BlockedFacts[];
}

export interface MoneyFacts {
  readonly currency: string;
  /** What counts against the day's cap: actuals of the UTC day's settled grants, worst cases of its open ones. */
  readonly todayMicros: number;
  /** Worst cases of all open grants. */
  readonly reservedMicros: number;
  readonly capPerDayMicros: number;
  readonly capPerGrantMicros: number;
}

/** Whether the provider proves what it runs on. */
export interface EvidenceFacts {
  /** False while cards may go without evidence: then its absence does not make the provider unready. */
  readonly required: boolean;
  readonly state: "none" | "ok" | "failing";
  readonly code: "no-evidence" | ErrorCode | "ok";
}

export interface Facts {
  readonly provider: {
    /** 12 hex characters of the ProviderId. */
    readonly idPrefix: string;
    readonly name: string;
    readonly standing: Standing;
    readonly status: (typeof CARD_STATUSES)[number];
    readonly endorsedUntilMs: number | undefined;
    readonly startedMs: number;
    readonly killSwitch: boolean;
  };
  readonly card: {
    /** When this instance last published one, as far as this process has seen. */
    readonly publishedMs: number | undefined;
    /** This instance's card stands, and the scheduler still takes it for current. */
    readonly current: boolean;
  };
  readonly coalition: {
    readonly name: string;
    readonly fingerprint: string;
    readonly computeModule: string;
    readonly tick: number;
    readonly members: {
      readonly connected: number;
      readonly total: number;
      readonly needed: number;
    };
    readonly peers: number;
    /** What peers sent and this node refused, by code. */
    readonly recordRefusals: ReadonlyMap<string, number>;
  };
  readonly grants: {
    readonly active: number;
    readonly cap: number;
    readonly byState: ReadonlyMap<GrantStateName, number>;
    /** Receipts and refusals that are due, or posted and not acknowledged. */
    readonly repliesPending: number;
    readonly cpuMillicores: number;
    readonly ramMib: number;
    /** How far the machine most overdue has outlived its deadline. */
    readonly overrunMs: number;
  };
  /** In the order of the configuration. */
  readonly backends: readonly BackendFacts[];
  readonly money: MoneyFacts;
  readonly journalFault: ErrorCode | undefined;
  readonly orphans: { readonly seen: number; readonly ended: number };
  readonly evidence: EvidenceFacts;
  /** The journal's lifetime counters (ledger/totals.ts). */
  readonly totals: ReadonlyMap<string, number>;
  /** Newest last, at most EVENTS_KEPT_MAX. */
  readonly events: readonly AdminEvent[];
}

/** Why grants were turned away lately. */
export interface WhyFacts {
  /** Since when this process has been counting. */
  readonly sinceMs: number;
  readonly refusals: ReadonlyMap<RefusalCode, { readonly count: number; readonly lastMs: number }>;
  readonly leftOut: readonly LeftOutCount[];
  /** The last time the fleet was asked where a workload could run. */
  readonly lastRoute:
    | {
        readonly atMs: number;
        readonly placements: number;
        readonly leftOut: readonly LeftOutCount[];
      }
    | undefined;
  /** Machines that could not be started, by backend and code. */
  readonly createFailures: readonly {
    readonly backend: string;
    readonly code: ErrorCode;
    readonly count: number;
  }[];
}

/** What the operator's writes do; each returns at once and may throw a BridgeError that is answered as it is. */
export interface AdminControls {
  /** No new grants; wait for the live ones, and at the bound end them when `terminate` is set. Idempotent. */
  drain(options: { readonly terminate: boolean }): void;
  /** Takes a drain back. */
  resume(): void;
  /** A drain whose last word is a retirement: nothing supersedes it. */
  retire(options: { readonly terminate: boolean }): void;
}

export interface AdminSource extends AdminControls {
  facts(): Facts;
  why(): WhyFacts;
  /** Called when something worth a new snapshot has happened. Returns the way to stop. */
  onChange(listener: () => void): () => void;
}
