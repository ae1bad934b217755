/** The schemas of the records in a machine's folder. The machine imports only the types: see machine.ts. */

import { codec, integer, oneOf, type Static, strictObject, Type } from "../../../base/schema.ts";
import { ShapeSchema } from "../../../coalition/classes.ts";
import { USAGE_BASES } from "../../../coalition/log.ts";

const KeySchema = Type.String({ pattern: "^[0-9a-f]{64}$" });
const PortSchema = integer(1, 65_535);

/** Everything that must be the same when an order is given again. Public keys in hex. */
export const JobOrderSchema = strictObject({
  name: Type.String({ pattern: "^[a-z0-9][a-z0-9-]{0,62}$" }),
  tags: strictObject({
    providerId: Type.String({ minLength: 1, maxLength: 256 }),
    grantId: Type.String({ maxLength: 256 }),
    attempt: integer(),
    try: integer(),
    deadlineMs: integer(),
  }),
  region: Type.String({ maxLength: 256 }),
  zone: Type.String({ maxLength: 256 }),
  shape: ShapeSchema,
  bootstrapHostKey: KeySchema,
  bootstrapLoginKey: KeySchema,
  loginKey: KeySchema,
  deadlineMs: integer(),
});
export type JobOrder = Static<typeof JobOrderSchema>;

const JobSchema = strictObject({
  v: Type.Literal(1),
  /** The name of the backend that made it. */
  backend: Type.String({ maxLength: 256 }),
  createdMs: integer(),
  /** Where the machine may listen; null lets the system choose. */
  ports: Type.Union([Type.Null(), strictObject({ first: PortSchema, last: PortSchema })]),
  order: JobOrderSchema,
});
export type Job = Static<typeof JobSchema>;
export type PortRange = NonNullable<Job["ports"]>;

const SecretsSchema = strictObject({ v: Type.Literal(1), bootstrapHostSeed: KeySchema });
export type Secrets = Static<typeof SecretsSchema>;

/** `pid` 0 is nobody: the backend took the place so that no machine can start here any more. */
const ProcessRecordSchema = strictObject({
  pid: integer(),
  startTicks: integer(),
  bootId: Type.String(),
});

const EndingSchema = strictObject({ atMs: integer() });
const ReadySchema = strictObject({ port: PortSchema });
const HandedOverSchema = strictObject({ hostKey: KeySchema });

const UsageSchema = strictObject({
  cpuCoreMs: integer(),
  ramMibSeconds: integer(),
  netBytes: Type.Null(),
  basis: oneOf(USAGE_BASES),
});

/** The processes as [pid, start time]: how the backend finds them when the machine itself died. */
const UsageRecordSchema = strictObject({
  usage: UsageSchema,
  processes: Type.Array(Type.Tuple([integer(), integer()])),
});
export type UsageRecord = Static<typeof UsageRecordSchema>;

export const EXIT_CAUSES = ["ended", "deadline", "lost"] as const;
const ExitSchema = strictObject({
  cause: oneOf(EXIT_CAUSES),
  usage: UsageSchema,
  /** Why it never came up. */
  failure: Type.Union([Type.Null(), oneOf(["no-port"])]),
});
export type ExitRecord = Static<typeof ExitSchema>;

export const records = {
  job: codec(JobSchema, "job"),
  process: codec(ProcessRecordSchema, "process"),
  ready: codec(ReadySchema, "ready"),
  handover: codec(HandedOverSchema, "handover"),
  ending: codec(EndingSchema, "ending"),
  usage: codec(UsageRecordSchema, "usage"),
  exit: codec(ExitSchema, "exit"),
};
