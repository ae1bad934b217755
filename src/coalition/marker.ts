/** Stop and retire: a provider's last word. A higher seq supersedes a stop, nothing supersedes retire (DESIGN section 7). */
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

export const MarkerSchema = strictObject({
  v: Type.Literal(1),
  providerId: Bytes32Schema,
  reason: oneOf(["stop", "retire"]),
  tick: integer(0),
  endorsement: EndorsementSchema,
});
export type Marker = Static<typeof MarkerSchema>;
export const markerCodec = codec(MarkerSchema, "marker");
