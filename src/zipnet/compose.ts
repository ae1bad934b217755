/**
 * Composing a request: fresh one-time keys, the public body with its classes and commitments, and the envelope sealed
 * to the committee. What the requester must keep until the receipt is here is one small secret state.
 */
import { type Bytes32, fromHex, toHex } from "../base/bytes.ts";
import { randomSeed, signingKey } from "../base/ed25519.ts";
import { BridgeError } from "../base/errors.ts";
import { kemKeyPair } from "../base/hpke.ts";
import { codec, integer, type Static, strictObject, Type } from "../base/schema.ts";
import {
  durationClass,
  type ImageKind,
  type RegionClass,
  type Shape,
  shapeClass,
} from "../coalition/classes.ts";
import type { Coalition } from "../coalition/config.ts";
import {
  imageCommitment,
  type Manifest,
  manifestCommitment,
  postHash,
  preHash,
} from "../coalition/manifest.ts";
import {
  type Accept,
  bearerPointer,
  type ComputeRequest,
  checkRequest,
  requestId,
} from "../coalition/request.ts";
import { type SignedRecord, signRecord } from "../network/record.ts";
import {
  checkEnvelope,
  type Envelope,
  encodeEnvelope,
  envelopeSecret,
  sealEnvelope,
} from "./envelope.ts";

/** What somebody wants. */
export interface Order {
  readonly manifest: Manifest;
  readonly image: { readonly kind: ImageKind; readonly digest: Bytes32; readonly pointer: string };
  readonly regionClass: RegionClass;
  readonly regionHint: string;
  readonly durationMs: number;
  readonly maxPricePerHourMicros: number;
  readonly accept: Accept;
  /** Absent: the provider makes a login key pair. */
  readonly sshKey: Bytes32 | undefined;
  /** How many ticks to wait for a grant. */
  readonly patienceTicks: number;
}

const Hex32 = Type.String({ pattern: "^[0-9a-f]{64}$" });

/** Everything needed to go on after a crash. Secret: whoever has it can read the receipt. */
export const RequestStateSchema = strictObject({
  version: Type.Literal(1),
  coalition: Hex32,
  requestId: Hex32,
  expiryTick: integer(1),
  replySeed: Hex32,
  kemSeed: Hex32,
  ackSeed: Hex32,
  /** Shared with whoever opens the envelope. */
  secret: Hex32,
  /** The packed request as it was, or will be, sent. */
  message: Type.String({ pattern: "^[0-9a-f]*$", maxLength: 8192 }),
  /** Set once the message has entered the coalition. */
  sent: Type.Boolean(),
});
export type RequestState = Static<typeof RequestStateSchema>;
export const requestStateCodec = codec(RequestStateSchema, "request state");

export interface Composed {
  readonly record: SignedRecord;
  readonly request: ComputeRequest;
  readonly state: Omit<RequestState, "message" | "sent">;
}

/**
 * Throws `bad-argument` for needs above every class, `wrong-schema` for what the envelope cannot say, `too-large` when
 * it does not fit.
 */
export function composeRequest(coalition: Coalition, order: Order, nowTick: number): Composed {
  const { manifest, image } = order;
  const [key, reply, kem, ack] = [randomSeed(), randomSeed(), randomSeed(), randomSeed()];
  const [imageSalt, manifestSalt] = [randomSeed(), randomSeed()];
  const manifestHash = preHash(manifest);
  if (order.patienceTicks > coalition.file.compute.requestTicks) {
    throw new BridgeError(
      "bad-argument",
      `a request may wait at most ${coalition.file.compute.requestTicks} ticks`,
    );
  }
  const body: Omit<ComputeRequest, "bearerPointer"> = {
    v: 1,
    key: signingKey(key).publicKey,
    replyKey: kemKeyPair(reply).publicKey,
    shape: neededShape(manifest),
    tee: manifest.tee,
    regionClass: order.regionClass,
    durationMs: durationClass(order.durationMs),
    maxPricePerHourMicros: order.maxPricePerHourMicros,
    accept: order.accept,
    manifestCommitment: manifestCommitment(manifestHash, manifestSalt),
    imageCommitment: imageCommitment(postHash(manifestHash, image.digest), imageSalt),
    expiryTick: nowTick + order.patienceTicks,
  };
  const envelope: Envelope = {
    v: 1,
    peerId: signingKey(randomSeed()).publicKey,
    kemKey: kemKeyPair(kem).publicKey,
    ...(order.sshKey === undefined ? {} : { sshKey: order.sshKey }),
    image: { preHash: manifestHash, ...image },
    manifest,
    imageSalt,
    manifestSalt,
    regionHint: order.regionHint,
    durationMs: order.durationMs,
    ackKey: signingKey(ack).publicKey,
  };
  checkEnvelope(envelope);
  const sealed = sealEnvelope(coalition, body, envelope);
  const request: ComputeRequest = { ...body, bearerPointer: bearerPointer(sealed) };
  const message = { request, sealed };
  checkRequest(message);
  return {
    record: signRecord(signingKey(key), coalition.network, "request", message),
    request,
    state: {
      version: 1,
      coalition: toHex(coalition.fingerprint),
      requestId: toHex(requestId(request)),
      expiryTick: request.expiryTick,
      replySeed: toHex(reply),
      kemSeed: toHex(kem),
      ackSeed: toHex(ack),
      secret: toHex(envelopeSecret(encodeEnvelope(envelope))),
    },
  };
}

function neededShape(manifest: Manifest): Shape {
  return shapeClass({
    cpuMillicores: manifest.minCpuMillicores,
    ramMib: manifest.minRamMib,
    storageGib: manifest.minStorageGib,
  });
}

export function seedOf(
  state: RequestState,
  name: "replySeed" | "kemSeed" | "ackSeed" | "secret",
): Bytes32 {
  return fromHex(state[name], name) as Bytes32;
}
