/** Grants, states and events for the tests of the ledger: one plain value of each, and random ones. */
import fc from "fast-check";
import { must } from "../../src/base/assert.ts";
import { type Bytes32, bytes32 } from "../../src/base/bytes.ts";
import { MINUTE_MS } from "../../src/base/limits.ts";
import { type ComputeGrant, grantId, type REFUSAL_CODES } from "../../src/coalition/grant.ts";
import { CHAIN_START } from "../../src/coalition/log.ts";
import { EMPTY_BOOKS } from "../../src/ledger/books.ts";
import type { GrantEvent } from "../../src/ledger/events.ts";
import type { Caps } from "../../src/ledger/inbox.ts";
import type {
  GrantState,
  MachineRecord,
  Placement,
  Resolution,
  UsageRecord,
} from "../../src/ledger/state.ts";
import { begin, type TransitionContext, transition } from "../../src/ledger/transition.ts";

/** Noon, so that an hour more or less stays within the day. */
export const NOON_MS = Date.UTC(2030, 5, 15, 12);
export const TICK_MS = 1000;
export const PRICE_MICROS = 3_600_000; // one millionth per millisecond

export function id(n: number): Bytes32 {
  return bytes32(new Uint8Array(32).fill(n));
}

export function sampleGrant(changes: Partial<ComputeGrant> = {}): ComputeGrant {
  return {
    v: 1,
    requestId: id(1),
    attempt: 1,
    providerId: id(2),
    offerId: id(3),
    cardHash: id(4),
    pricePerHourMicros: PRICE_MICROS,
    imageCommitment: id(5),
    manifestCommitment: id(6),
    bearerPointer: id(7),
    validToTick: 700,
    notAfterMs: NOON_MS + 10 * MINUTE_MS,
    committeeEpoch: 1,
    ...changes,
  };
}

export const sampleResolution: Resolution = {
  secret: id(10),
  kemKey: id(11),
  ackKey: id(12),
  sshKey: id(13),
  shape: { cpuMillicores: 1000, ramMib: 1024, storageGib: 4 },
  tee: "none",
  regionClass: "any",
  manifest: {
    v: 1,
    crate: { name: "workload", version: "1", tree: "" },
    minCpuMillicores: 1000,
    minRamMib: 1024,
    minStorageGib: 1,
    tee: "none",
    networkPolicy: { egress: "none", hosts: [] },
  },
  image: { kind: "none", digest: bytes32(new Uint8Array(32)), pointer: "" },
  regionHint: "",
};

export function samplePlacement(n = 0): Placement {
  return {
    backend: `backend-${n}`,
    region: "here",
    regionClass: "europe",
    zone: "a",
    shape: { cpuMillicores: 2000, ramMib: 2048, storageGib: 8 },
    tee: "none",
    pricePerHourMicros: PRICE_MICROS,
  };
}

export function sampleMachine(n = 0): MachineRecord {
  return {
    backend: `backend-${n}`,
    name: `cb-${n}`,
    instanceId: `i-${n}`,
    host: "10.0.0.1",
    port: 22,
    user: "root",
    hostKey: id(20 + n),
    tee: "none",
  };
}

export function measured(cpuCoreMs: number): UsageRecord {
  return { cpuCoreMs, ramMibSeconds: 2 * cpuCoreMs, netBytes: 3 * cpuCoreMs, basis: "measured" };
}

export const sampleCaps: Caps = {
  grantsMax: 4,
  spendPerDayMicros: 1e12,
  spendPerGrantMicros: 1e11,
  durationMaxMs: 60 * MINUTE_MS,
  remainingLifeMinMs: MINUTE_MS,
  killSwitch: false,
};

export function sampleContext(changes: Partial<TransitionContext> = {}): TransitionContext {
  return {
    nowMs: NOON_MS,
    nowTick: 100,
    tickPeriodMs: TICK_MS,
    committeeEpoch: 1,
    standing: "serving",
    caps: sampleCaps,
    books: EMPTY_BOOKS,
    priceOf: () => PRICE_MICROS,
    logIntervalMs: 2 * MINUTE_MS,
    ...changes,
  };
}

type Granted = Extract<GrantEvent, { type: "granted" }>;

export function granted(grant = sampleGrant(), recovered = false): Granted {
  return { type: "granted", grantId: grantId(grant), grant, record: id(99), recovered };
}

export const opened: GrantEvent = { type: "opened", resolution: sampleResolution };
export const routed = (...placements: readonly Placement[]): GrantEvent => ({
  type: "routed",
  placements,
  detail: placements.length === 0 ? "nothing fits" : "",
});
export const up = (tryNumber = 0): GrantEvent => ({
  type: "up",
  try: tryNumber,
  machine: sampleMachine(tryNumber),
});
export const createFailed = (code: string, tryNumber = 0, detail = "why"): GrantEvent =>
  ({ type: "create-failed", try: tryNumber, code, detail }) as GrantEvent;
export const rejected = (
  code: (typeof REFUSAL_CODES)[number] = "unavailable",
  invalid = false,
): GrantEvent => ({ type: "rejected", code, detail: "why", invalid });
export const inspected = (
  changes: Partial<Extract<GrantEvent, { type: "inspected" }>> = {},
): GrantEvent => ({
  type: "inspected",
  machines: [],
  others: [],
  placement: undefined,
  sinceMs: undefined,
  receiptPosted: false,
  acked: false,
  chain: { nextSeq: 0, head: CHAIN_START, closed: false },
  ...changes,
});

/** The state after these events, the first of which is a grant. */
export function walk(
  events: readonly GrantEvent[],
  context: TransitionContext = sampleContext(),
): GrantState {
  const [first, ...rest] = events;
  if (first?.type !== "granted") throw new Error("a walk begins with a grant");
  return rest.reduce((state, event) => transition(state, event, context), begin(first, context));
}

const TWO = [samplePlacement(0), samplePlacement(1)];

/** How each kind of state is reached, by a name for the test's title. */
export const PATHS: Readonly<Record<string, readonly GrantEvent[]>> = {
  received: [granted()],
  "received, recovering": [granted(sampleGrant(), true)],
  resolved: [granted(), opened],
  "resolved, recovering": [granted(sampleGrant(), true), opened],
  provisioning: [granted(), opened, routed(...TWO)],
  "provisioning, second try": [granted(), opened, routed(...TWO), createFailed("capacity")],
  running: [granted(), opened, routed(...TWO), up()],
  delivered: [granted(), opened, routed(...TWO), up(), { type: "posted" }],
  "delivered, acknowledged": [
    granted(),
    opened,
    routed(...TWO),
    up(),
    { type: "posted" },
    { type: "acked" },
  ],
  "delivered, adopted": [
    granted(sampleGrant(), true),
    opened,
    inspected({
      machines: [sampleMachine()],
      receiptPosted: true,
      placement: samplePlacement(),
      sinceMs: NOON_MS - MINUTE_MS,
    }),
  ],
  "terminating, then the next try": [
    granted(),
    opened,
    routed(...TWO),
    createFailed("unknown-outcome"),
  ],
  "terminating, then a refusal": [granted(), opened, routed(...TWO), { type: "deadline" }],
  "terminating, then a log": [
    granted(),
    opened,
    routed(...TWO),
    up(),
    { type: "posted" },
    { type: "exited", cause: "ended", usage: measured(5) },
  ],
  "terminating, then closed": [
    granted(sampleGrant(), true),
    opened,
    inspected({
      machines: [sampleMachine()],
      chain: { nextSeq: 1, head: id(8), closed: true },
    }),
  ],
  logged: [
    granted(),
    opened,
    routed(...TWO),
    up(),
    { type: "posted" },
    { type: "exited", cause: "ended", usage: measured(5) },
    { type: "gone" },
  ],
  closed: [
    granted(),
    opened,
    routed(...TWO),
    up(),
    { type: "posted" },
    { type: "exited", cause: "ended", usage: measured(5) },
    { type: "gone" },
    { type: "log-published", seq: 0 },
  ],
  refused: [granted(), opened, routed()],
  "refused, with an empty log": [granted(), rejected("image-mismatch", true)],
  "refused, announced": [granted(), opened, routed(), { type: "announced" }],
  failed: [granted(), opened, routed(...TWO), { type: "deadline" }, { type: "gone" }],
};

export const EVERY_STATE: readonly (readonly [string, GrantState])[] = Object.entries(PATHS).map(
  ([name, events]) => [name, walk(events)],
);

export function stateNamed(name: string): GrantState {
  return walk(must(PATHS[name], name));
}

/** One or more of each type of event. */
export const EVERY_EVENT: readonly GrantEvent[] = [
  granted(),
  granted(sampleGrant(), true),
  opened,
  rejected("unavailable"),
  rejected("image-mismatch", true),
  routed(),
  routed(...TWO),
  inspected(),
  inspected({ chain: { nextSeq: 2, head: id(8), closed: true } }),
  inspected({ machines: [sampleMachine()], receiptPosted: true, placement: samplePlacement() }),
  inspected({ others: [{ backend: "backend-0", name: "cb-0" }] }),
  up(0),
  up(1),
  ...["capacity", "quota", "auth", "bug", "unknown-outcome", "bad-image", "machine-ended"].map(
    (code) => createFailed(code, 0),
  ),
  createFailed("capacity", 1),
  { type: "posted" },
  { type: "acked" },
  { type: "sampled", usage: measured(7) },
  { type: "exited", cause: "ended", usage: measured(9) },
  { type: "exited", cause: "deadline", usage: measured(9) },
  { type: "exited", cause: "lost", usage: { ...measured(9), basis: "unknown" } },
  { type: "deadline" },
  { type: "end", detail: "by the operator" },
  { type: "answered" },
  { type: "gone" },
  { type: "log-published", seq: 0 },
  { type: "log-published", seq: 5 },
  { type: "announced" },
];

export const anyEvent: fc.Arbitrary<GrantEvent> = fc.constantFrom(...EVERY_EVENT);
