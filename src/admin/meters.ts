/**
 * Every metric of the provider, declared in this one file with the closed lists of its labels, and the meters that
 * live as long as the process. Lifetime counters are the journal's and stand in the facts.
 */
import { build } from "../base/build.ts";
import { FINAL_CODES, REGRANTABLE_CODES } from "../coalition/grant.ts";
import { GRANT_STATES } from "../ledger/state.ts";
import { ALL_ERROR_CODES, LEFT_OUT_CODES, STANDINGS } from "./facts.ts";
import { type Counter, createCounter, createHistogram, type Histogram } from "./prometheus.ts";

export const OUTCOMES = ["completed", "expired", "failed", "refused"] as const;
export const MACHINE_STATES = ["starting", "running", "ending"] as const;
export const BACKEND_OPS = ["capabilities", "provision", "terminate", "list"] as const;
export type BackendOp = (typeof BACKEND_OPS)[number];
/** What a grant is waiting for; one stage per state it passes through. */
export const STAGES = [
  "open",
  "route",
  "create",
  "deliver",
  "watch",
  "terminate",
  "log",
  "refuse",
] as const;
export type Stage = (typeof STAGES)[number];
export const CHECKS = ["network", "journal", "backend", "card", "standing", "quote"] as const;
export type CheckName = (typeof CHECKS)[number];

// A machine lives up to a week; everything before it takes milliseconds to minutes.
const STAGE_BUCKETS_S = [0.005, 0.015, 0.06, 0.25, 1, 5, 15, 60, 300, 3600, 86_400];
const CALL_BUCKETS_S = [0.01, 0.05, 0.25, 1, 5, 15, 30, 60, 120, 300];
const WRITE_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2];

const counter = <const L extends Lists>(name: string, help: string, labels: L) =>
  ({ name, help, type: "counter", labels }) as const;
const gauge = <const L extends Lists>(name: string, help: string, labels: L) =>
  ({ name, help, type: "gauge", labels }) as const;
const histogram = <const L extends Lists>(
  name: string,
  help: string,
  labels: L,
  buckets: readonly number[],
) => ({ name, help, type: "histogram", labels, buckets }) as const;
type Lists = Readonly<Record<string, readonly string[]>>;

function processSpecs() {
  return {
    build: gauge("build_info", "What this program was built from; always 1.", {
      version: [build.version],
      tree: [build.tree],
      flavour: [build.flavour],
      bun: [Bun.version],
    }),
    started: gauge("start_time_seconds", "When the provider started, Unix time.", {}),
    memory: gauge("resident_memory_bytes", "Memory the process holds.", {}),
    cpu: counter("cpu_seconds_total", "CPU time the process has used.", {}),
    standing: gauge("standing", "1 for the standing that holds now.", { standing: STANDINGS }),
    ready: gauge("ready", "1 while /readyz answers 200.", {}),
    check: gauge("check_ok", "1 for every required check of /readyz that holds.", {
      check: CHECKS,
    }),
    endorsed: gauge(
      "endorsement_expiry_timestamp_seconds",
      "When the operator's endorsement lapses, Unix time.",
      {},
    ),
    card: gauge(
      "card_published_timestamp_seconds",
      "When this instance last published its card, Unix time.",
      {},
    ),
    eventClients: gauge("event_clients", "Open live streams.", {}),
    adminRefused: counter("admin_refused_total", "Requests this endpoint refused, by code.", {
      code: ALL_ERROR_CODES,
    }),
  };
}

function networkSpecs() {
  return {
    peers: gauge("peers", "Peers with an open connection.", {}),
    members: gauge("members", "Committee members.", {}),
    membersConnected: gauge("members_connected", "Committee members with an open connection.", {}),
    membersNeeded: gauge("members_needed", "Members without whom no grant can be served.", {}),
    tick: gauge("almanac_tick", "The coalition's tick.", {}),
    recordsRefused: counter("records_refused_total", "Records peers sent and this node refused.", {
      code: ALL_ERROR_CODES,
    }),
  };
}

function grantSpecs() {
  return {
    seen: counter("grants_seen_total", "Grants addressed to this provider.", {}),
    admitted: counter("grants_admitted_total", "Grants taken.", {}),
    recovered: counter("grants_recovered_total", "Grants taken up again without a journal.", {}),
    ended: counter("grants_total", "Grants that have ended, by outcome.", { outcome: OUTCOMES }),
    refused: counter("grants_refused_total", "Grants refused or failed, by the code given.", {
      code: [...REGRANTABLE_CODES, ...FINAL_CODES],
    }),
    active: gauge("grants_active", "Grants that are open now.", {}),
    limit: gauge("grants_limit", "Grants that may be open at once.", {}),
    inState: gauge("grants", "Grants the journal still has work for, by state.", {
      state: GRANT_STATES,
    }),
    receipts: counter("receipts_total", "Receipts posted, repetitions not counted.", {}),
    repliesPending: gauge("replies_pending", "Replies that are due or not acknowledged.", {}),
    stages: histogram(
      "grant_stage_duration_seconds",
      "How long grants stayed in each stage.",
      { stage: STAGES },
      STAGE_BUCKETS_S,
    ),
    journalOk: gauge("journal_ok", "0 while the journal cannot be written.", {}),
    journalFailures: counter("journal_write_failures_total", "Writes the journal refused.", {}),
    journalWrites: histogram(
      "journal_write_duration_seconds",
      "How long one batch of transitions took to reach the disk.",
      {},
      WRITE_BUCKETS_S,
    ),
  };
}

function fleetSpecs(backend: readonly string[], currency: readonly string[]) {
  return {
    backendUp: gauge("backend_up", "1 while the backend answers.", { backend }),
    backendLastOk: gauge(
      "backend_last_success_timestamp_seconds",
      "When the backend last answered, Unix time.",
      { backend },
    ),
    backendOffers: gauge("backend_offers", "Kinds of machine on offer.", { backend }),
    backendFree: gauge("backend_free_machines", "Machines that could be started now.", { backend }),
    backendBlocked: gauge("backend_blocked", "Breakers that are open.", {
      backend,
      code: ALL_ERROR_CODES,
    }),
    calls: counter("backend_requests_total", "Calls to a backend, by result.", {
      backend,
      op: BACKEND_OPS,
      result: ["ok", "aborted", ...ALL_ERROR_CODES],
    }),
    callSeconds: histogram(
      "backend_request_duration_seconds",
      "How long calls to a backend took.",
      { backend, op: BACKEND_OPS },
      CALL_BUCKETS_S,
    ),
    leftOut: counter("route_left_out_total", "Offers that could not take a workload, by reason.", {
      backend,
      code: LEFT_OUT_CODES,
    }),
    machines: gauge("machines", "Machines of open grants.", { backend, state: MACHINE_STATES }),
    machinesStarted: counter("machines_started_total", "Machines that came up.", { backend }),
    overrun: gauge(
      "deadline_overrun_seconds",
      "How far the machine most overdue has outlived its deadline.",
      {},
    ),
    orphansFound: counter("orphans_found_total", "Machines of ours that no grant claims.", {}),
    orphansRemoved: counter("orphans_removed_total", "Orphans that were asked to end.", {}),
    cores: counter("usage_core_seconds_total", "CPU time of ended grants.", { backend }),
    memorySeconds: counter("usage_memory_byte_seconds_total", "Memory held, times how long.", {
      backend,
    }),
    netBytes: counter("usage_network_bytes_total", "Network bytes, where they are measured.", {
      backend,
    }),
    unmeasured: counter("usage_unmeasured_grants_total", "Ended grants nobody measured.", {
      backend,
    }),
    spent: counter("spent_micros_total", "Millionths of the currency spent by ended grants.", {
      backend,
      currency,
    }),
    spentToday: gauge("spend_today_micros", "What counts against the day's cap (UTC).", {
      currency,
    }),
    reserved: gauge("spend_reserved_micros", "Worst cases of open grants.", { currency }),
    capDay: gauge("spend_cap_per_day_micros", "The cap per day.", { currency }),
    capGrant: gauge("spend_cap_per_grant_micros", "The cap per grant.", { currency }),
  };
}

export type MetricSpecs = ReturnType<typeof metricSpecs>;

export function metricSpecs(backends: readonly string[], currency: string) {
  return {
    ...processSpecs(),
    ...networkSpecs(),
    ...grantSpecs(),
    ...fleetSpecs(backends, [currency]),
  };
}

/** What only this process counts; a restart begins anew, as Prometheus expects of such counters. */
export interface Meters {
  readonly specs: MetricSpecs;
  readonly stages: Histogram;
  readonly journalWrites: Histogram;
  readonly journalFailures: Counter;
  readonly calls: Counter;
  readonly callSeconds: Histogram;
  readonly leftOut: Counter;
  readonly adminRefused: Counter;
}

export function createMeters(backends: readonly string[], currency: string): Meters {
  const specs = metricSpecs(backends, currency);
  return {
    specs,
    stages: createHistogram(specs.stages),
    journalWrites: createHistogram(specs.journalWrites),
    journalFailures: createCounter(specs.journalFailures),
    calls: createCounter(specs.calls),
    callSeconds: createHistogram(specs.callSeconds),
    leftOut: createCounter(specs.leftOut),
    adminRefused: createCounter(specs.adminRefused),
  };
}
