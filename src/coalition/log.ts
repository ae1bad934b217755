/**
 * The ComputeLog: what a grant used, signed by the provider, one hash chain per grant. Interim entries come while
 * the machine runs, a final one closes the chain. An empty final entry with status `invalid` marks a grant whose
 * envelope did not match it.
 */
import type { Bytes32 } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { taggedHash } from "../base/hash.ts";
import { ATTEMPTS_MAX, LOG_ENTRIES_MAX } from "../base/limits.ts";
import {
  Bytes32Schema,
  codec,
  integer,
  oneOf,
  type Static,
  strictObject,
  Type,
} from "../base/schema.ts";
import { EndorsementSchema } from "./endorsement.ts";

/** `interim` leaves the chain open; the others close it. */
export const LOG_STATUSES = ["interim", "completed", "expired", "failed", "invalid"] as const;
export type LogStatus = (typeof LOG_STATUSES)[number];

/** `none` stands where there was never a machine; `unknown` says that nobody measured the one there was. */
export const USAGE_BASES = ["measured", "allocated", "unknown", "none"] as const;

export const LogSchema = strictObject({
  v: Type.Literal(1),
  grantId: Bytes32Schema,
  requestId: Bytes32Schema,
  attempt: integer(1, ATTEMPTS_MAX),
  providerId: Bytes32Schema,
  /** 0 for the first entry. */
  seq: integer(0, LOG_ENTRIES_MAX - 1),
  /** logHash of the entry before; all zero for the first. */
  previous: Bytes32Schema,
  status: oneOf(LOG_STATUSES),
  window: strictObject({ fromMs: integer(0), toMs: integer(0) }),
  /** Since the start of the grant. */
  usage: strictObject({
    cpuCoreMs: integer(0),
    ramMibSeconds: integer(0),
    netBytes: Type.Union([integer(0), Type.Null()]),
    basis: oneOf(USAGE_BASES),
  }),
  tick: integer(0),
  endorsement: EndorsementSchema,
});
export type ComputeLog = Static<typeof LogSchema>;
export const logCodec = codec(LogSchema, "log");

export const CHAIN_START = new Uint8Array(32) as Bytes32;

/** Hash of an entry's content; the endorsement is left out so that a chain survives a new boot key. */
export function logHash(log: Omit<ComputeLog, "endorsement">): Bytes32 {
  const { endorsement: _, ...content } = log as ComputeLog;
  return taggedHash("compute-bridge/log/v1", encodeCanonical(content));
}

export function isFinal(log: Pick<ComputeLog, "status">): boolean {
  return log.status !== "interim";
}
