/**
 * The shape of every answer. These schemas are also the last redaction: an answer is checked before it leaves, and
 * there is no field that could hold an id, an address, a free text of a backend or of a peer. All times are
 * milliseconds since the Unix epoch, all money is in millionths of the coalition's currency.
 */
import {
  BACKENDS_MAX,
  BLOCKED_SHOWN_MAX,
  EVENTS_KEPT_MAX,
  NAME_BYTES_MAX,
} from "../base/limits.ts";
import { codec, integer, oneOf, type Static, strictObject, Type } from "../base/schema.ts";
import { REFUSAL_CODES } from "../coalition/grant.ts";
import { GRANT_STATES } from "../ledger/state.ts";
import {
  ALL_ERROR_CODES,
  BLOCKED_WIDTHS,
  CARD_STATUSES,
  EVENT_CODES,
  EVENT_KINDS,
  LEFT_OUT_CODES,
  ORDERS,
  STANDINGS,
} from "./facts.ts";
import { CHECKS, MACHINE_STATES, OUTCOMES } from "./meters.ts";

const Name = Type.String({ minLength: 1, maxLength: NAME_BYTES_MAX });
const BackendName = Type.String({ pattern: "^[a-z][a-z0-9-]{0,31}$" });
const Place = Type.String({ maxLength: NAME_BYTES_MAX });
const Hex32 = Type.String({ pattern: "^[0-9a-f]{64}$" });
const orNull = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) =>
  Type.Union([schema, Type.Null()]);
const countsOf = <const K extends readonly string[]>(keys: K) =>
  strictObject(
    Object.fromEntries(keys.map((key) => [key, integer()])) as {
      [P in K[number]]: ReturnType<typeof integer>;
    },
  );

export const CHECK_STATES = ["ok", "failing", "not-required"] as const;
export const CHECK_CODES = [
  ...new Set<string>([
    "ok",
    "too-few-members",
    "no-backend",
    "no-card",
    "card-lapsed",
    "kill-switch",
    "no-evidence",
    ...STANDINGS,
    ...ALL_ERROR_CODES,
  ]),
];

export const CheckSchema = strictObject({
  name: oneOf(CHECKS),
  state: oneOf(CHECK_STATES),
  code: oneOf(CHECK_CODES),
  /** One sentence of ours, with numbers at most. */
  detail: Type.String({ maxLength: 160 }),
  fix: orNull(Type.String({ maxLength: 160 })),
});
export const ReadySchema = strictObject({
  ready: Type.Boolean(),
  checks: Type.Array(CheckSchema, { maxItems: CHECKS.length }),
});
export type Ready = Static<typeof ReadySchema>;

export const LiveSchema = strictObject({ live: Type.Literal(true) });

const UsageSchema = strictObject({
  cpuCoreSeconds: integer(),
  ramMibSeconds: integer(),
  /** null while no ended grant's network use was measured. */
  netBytes: orNull(integer()),
  /** Ended grants whose network use nobody measured; they are in no byte count. */
  netUnknownGrants: integer(),
  /** Ended grants of which nothing is known: they are in no sum above. */
  unmeasuredGrants: integer(),
});

const BlockedSchema = strictObject({
  width: oneOf(BLOCKED_WIDTHS),
  region: Place,
  zone: Place,
  code: oneOf(ALL_ERROR_CODES),
  clearsInSeconds: integer(),
});

export const BackendSchema = strictObject({
  name: BackendName,
  state: oneOf(["ok", "failing", "not-asked"]),
  error: orNull(oneOf(ALL_ERROR_CODES)),
  /** To the minute. */
  lastOkMs: orNull(integer()),
  offers: integer(),
  free: integer(),
  machines: countsOf(MACHINE_STATES),
  machinesStarted: integer(),
  blocked: Type.Array(BlockedSchema, { maxItems: BLOCKED_SHOWN_MAX }),
  blockedMore: integer(),
  usage: UsageSchema,
  spentMicros: integer(),
});

const ProviderSchema = strictObject({
  idPrefix: Type.String({ pattern: "^[0-9a-f]{12}$" }),
  name: Name,
  version: Type.String({ maxLength: 32 }),
  tree: Type.String({ maxLength: 64 }),
  flavour: oneOf(["production", "development"]),
  status: oneOf(CARD_STATUSES),
  standing: oneOf(STANDINGS),
  killSwitch: Type.Boolean(),
  startedMs: integer(),
  endorsedUntilMs: orNull(integer()),
});

const CoalitionSchema = strictObject({
  name: Name,
  fingerprint: Hex32,
  computeModule: Hex32,
  tick: integer(),
  members: strictObject({ connected: integer(), total: integer(), needed: integer() }),
  peers: integer(),
});

const GrantsSchema = strictObject({
  active: integer(),
  cap: integer(),
  byState: countsOf(GRANT_STATES),
  repliesPending: integer(),
  provisioned: strictObject({ cpuMillicores: integer(), ramMib: integer() }),
  /** Since the journal was made; a restart loses nothing. */
  lifetime: strictObject({
    seen: integer(),
    admitted: integer(),
    recovered: integer(),
    receipts: integer(),
    outcomes: countsOf(OUTCOMES),
    refusals: Type.Array(strictObject({ code: oneOf(REFUSAL_CODES), count: integer() }), {
      maxItems: REFUSAL_CODES.length,
    }),
  }),
});

const MoneySchema = strictObject({
  currency: Type.String({ pattern: "^[A-Z]{3,8}$" }),
  /** Counts against the day's cap: actuals of the UTC day's ended grants, worst cases of its open ones. */
  todayMicros: integer(),
  /** Worst cases of all open grants. */
  reservedMicros: integer(),
  spentTotalMicros: integer(),
  capPerDayMicros: integer(),
  capPerGrantMicros: integer(),
});

const EventSchema = strictObject({
  minuteMs: integer(),
  kind: oneOf(EVENT_KINDS),
  backend: Type.Optional(BackendName),
  code: Type.Optional(oneOf(EVENT_CODES)),
});

export const SnapshotSchema = strictObject({
  v: Type.Literal(1),
  provider: ProviderSchema,
  readiness: ReadySchema,
  coalition: CoalitionSchema,
  grants: GrantsSchema,
  backends: Type.Array(BackendSchema, { maxItems: BACKENDS_MAX }),
  usage: UsageSchema,
  money: MoneySchema,
  journal: strictObject({ ok: Type.Boolean(), code: orNull(oneOf(ALL_ERROR_CODES)) }),
  orphans: strictObject({ seen: integer(), ended: integer() }),
  /** Newest first. */
  events: Type.Array(EventSchema, { maxItems: EVENTS_KEPT_MAX }),
});
export type Snapshot = Static<typeof SnapshotSchema>;
export const snapshotCodec = codec(SnapshotSchema, "snapshot");

const LeftOutSchema = Type.Array(
  strictObject({ backend: BackendName, code: oneOf(LEFT_OUT_CODES), count: integer(1) }),
  { maxItems: BACKENDS_MAX * LEFT_OUT_CODES.length },
);

export const WhySchema = strictObject({
  v: Type.Literal(1),
  /** To the minute, as all times here. Counts are since then unless they say `total`. */
  sinceMs: integer(),
  failing: Type.Array(CheckSchema, { maxItems: CHECKS.length }),
  refusals: Type.Array(
    strictObject({
      code: oneOf(REFUSAL_CODES),
      count: integer(),
      /** Since the journal was made. */
      total: integer(),
      lastMs: orNull(integer()),
      meaning: Type.String({ maxLength: 160 }),
    }),
    { maxItems: REFUSAL_CODES.length },
  ),
  /** Offers that could not take a workload, over all routes. */
  leftOut: LeftOutSchema,
  lastRoute: orNull(
    strictObject({ minuteMs: integer(), placements: integer(), leftOut: LeftOutSchema }),
  ),
  createFailures: Type.Array(
    strictObject({ backend: BackendName, code: oneOf(ALL_ERROR_CODES), count: integer(1) }),
    { maxItems: BACKENDS_MAX * ALL_ERROR_CODES.length },
  ),
  blocked: Type.Array(
    Type.Composite([strictObject({ backend: BackendName }), BlockedSchema], {
      additionalProperties: false,
    }),
    { maxItems: BACKENDS_MAX * BLOCKED_SHOWN_MAX },
  ),
});
export type Why = Static<typeof WhySchema>;
export const whyCodec = codec(WhySchema, "why");

/** Of a write: what was asked for, and how things stand right after. */
export const AcceptedSchema = strictObject({
  accepted: oneOf(ORDERS),
  standing: oneOf(STANDINGS),
  grantsActive: integer(),
});

export const EndOrderSchema = strictObject({
  /** At the end of the wait, end what still runs. */
  terminate: Type.Optional(Type.Boolean()),
});
export const endOrderCodec = codec(EndOrderSchema, "body");

export const ProblemSchema = strictObject({
  code: oneOf(ALL_ERROR_CODES),
  message: Type.String({ maxLength: 512 }),
  fix: orNull(Type.String({ maxLength: 512 })),
});
