/**
 * What can be configured, with every default. Keys are spelt as here; money is written without the `Micros` of its
 * property, and backends are written as tables `[backends.NAME]`. `README.md` beside this file lists them all.
 */
import {
  BACKENDS_MAX,
  CPU_MILLICORES_MAX,
  GRANT_LIFE_MAX_MS,
  GRANTS_MAX,
  HOUR_MS,
  MACHINES_MAX,
  MEMBER_INDEX_MAX,
  MINUTE_MS,
  NAME_BYTES_MAX,
  RAM_MIB_MAX,
  SECOND_MS,
  SETTING_INTERVAL_MAX_MS,
  SETTING_INTERVAL_MIN_MS,
  STORAGE_GIB_MAX,
} from "../base/limits.ts";
import type { LogLevel } from "../base/log.ts";
import { type Static, strictObject, Type } from "../base/schema.ts";
import {
  addresses,
  choice,
  hash,
  money,
  name,
  path,
  ports,
  secret,
  setting,
  text,
  whole,
  yesNo,
} from "./setting.ts";

type Immutable<T> = { readonly [K in keyof T]: Immutable<T[K]> };

const LOG_LEVELS = ["debug", "info", "warn", "error"] as const satisfies readonly LogLevel[];
const MICROS = 1_000_000;

const version = setting(Type.Literal(1), {
  written: "integer",
  expects: "1, the version of the format this program reads",
  sample: "1",
});

const coalition = strictObject({
  file: path("coalition.toml"),
  /** The fingerprint the coalition file must have. */
  pin: Type.Optional(hash()),
});

const network = strictObject({
  listen: addresses("listen", "/ip4/0.0.0.0/tcp/4701", ["/ip4/0.0.0.0/tcp/4701"]),
  /** The addresses peers are told instead of those the node finds on its interfaces. */
  announce: addresses("announce", "/dns4/provider.example.org/tcp/4701", []),
});

const everyMs = (fallback: number) =>
  whole(SETTING_INTERVAL_MIN_MS, SETTING_INTERVAL_MAX_MS, String(fallback), fallback);

/** Kinds of backend this version runs, and those of later ones; the place in the list is the default priority. */
export const BACKEND_KINDS = ["local", "aws", "gcp", "azure", "baremetal"] as const;
export type BackendKind = (typeof BACKEND_KINDS)[number];

const priority = (kind: BackendKind) =>
  whole(0, 1000, "10", 10 * (BACKEND_KINDS.indexOf(kind) + 1));

/** Machines as child processes on this host, for development. The closed list of region classes is the caller's. */
export function localBackendSchema<const R extends string>(regionClasses: readonly [R, ...R[]]) {
  return strictObject({
    name: Type.String(),
    kind: choice(["local"]),
    /** Smaller is asked first. */
    priority: priority("local"),
    iUnderstandThereIsNoIsolation: setting(Type.Literal(true), {
      written: "boolean",
      expects: "true: this backend runs strangers' programs on this host with nothing in between",
      sample: "true",
    }),
    region: name("local", "local"),
    regionClass: choice(regionClasses),
    machinesMax: whole(1, MACHINES_MAX, "4", 4),
    /** Per machine, as the next two. */
    cpuMillicores: whole(1, CPU_MILLICORES_MAX, "1000", 1000),
    ramMib: whole(1, RAM_MIB_MAX, "1024", 1024),
    storageGib: whole(0, STORAGE_GIB_MAX, "8", 8),
    /** One machine for one hour. */
    pricePerHourMicros: money("0.05"),
    /** Both ends included; any free port when not set. */
    portRange: Type.Optional(ports()),
  });
}

/** The schemas of the kinds that can be configured. */
export function backendSchemas<const R extends string>(regionClasses: readonly [R, ...R[]]) {
  return { local: localBackendSchema(regionClasses) };
}

export function providerSchema<const R extends string>(regionClasses: readonly [R, ...R[]]) {
  return strictObject({
    version,
    provider: strictObject({ name: name("provider-1"), stateDir: path("state") }),
    operator: strictObject({
      /** The ed25519 seed of the operator, 64 hex characters. */
      key: secret("file:operator.key"),
    }),
    coalition,
    network,
    limits: strictObject({
      grantsMax: whole(1, GRANTS_MAX, "16", 16),
      spendPerDayMicros: money("50", 50 * MICROS),
      spendPerGrantMicros: money("10", 10 * MICROS),
      durationMaxMs: whole(MINUTE_MS, GRANT_LIFE_MAX_MS, String(24 * HOUR_MS), 24 * HOUR_MS),
      /** A grant with less life left is refused. */
      remainingLifeMinMs: whole(0, GRANT_LIFE_MAX_MS, String(MINUTE_MS), MINUTE_MS),
      /** true admits nothing. */
      killSwitch: yesNo(false),
    }),
    card: strictObject({
      refreshMs: everyMs(30 * SECOND_MS),
      release: text(NAME_BYTES_MAX, ""),
    }),
    drain: strictObject({
      waitMs: whole(0, GRANT_LIFE_MAX_MS, String(10 * MINUTE_MS), 10 * MINUTE_MS),
    }),
    log: strictObject({
      level: choice(LOG_LEVELS, "info"),
      /** How often an interim ComputeLog is published. */
      intervalMs: everyMs(2 * MINUTE_MS),
    }),
    admin: strictObject({
      /** On loopback; 0 takes any free one. */
      port: whole(0, 65_535, "4780", 4780),
    }),
    reconcile: strictObject({ intervalMs: everyMs(MINUTE_MS) }),
    /** By priority, then by name. */
    backends: Type.Array(localBackendSchema(regionClasses), { maxItems: BACKENDS_MAX }),
  });
}

export const MemberSchema = strictObject({
  version,
  member: strictObject({
    /** The x coordinate of the member's shares, from 1. */
    index: whole(1, MEMBER_INDEX_MAX, "1"),
    stateDir: path("state"),
    /** The ed25519 seed of the member, 64 hex characters. */
    key: secret("file:member.key"),
    grantShare: secret("file:grant.share"),
    unsealShare: secret("file:unseal.share"),
  }),
  coalition,
  network,
  log: strictObject({ level: choice(LOG_LEVELS, "info") }),
});

/** `R` is the caller's list of region classes. Paths are absolute, money is in micros, times in milliseconds. */
export type ProviderConfig<R extends string = string> = Immutable<
  Static<ReturnType<typeof providerSchema<R>>>
>;
export type BackendConfig<R extends string = string> = ProviderConfig<R>["backends"][number];
export type MemberConfig = Immutable<Static<typeof MemberSchema>>;
