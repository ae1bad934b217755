/** A provider and a requester as far as others see them: the records they sign. No network, no state. */
import type { Bytes32 } from "../../src/base/bytes.ts";
import { type SigningKey, signingKey } from "../../src/base/ed25519.ts";
import { type KemKeyPair, kemKeyPair } from "../../src/base/hpke.ts";
import { HOUR_MS } from "../../src/base/limits.ts";
import { cardHash, type ProviderCard } from "../../src/coalition/card.ts";
import type { Coalition } from "../../src/coalition/config.ts";
import { type Endorsement, endorse } from "../../src/coalition/endorsement.ts";
import {
  type Admission,
  type ComputeGrant,
  grantId,
  type Refusal,
  type RefusalCode,
} from "../../src/coalition/grant.ts";
import { providerId } from "../../src/coalition/ids.ts";
import { CHAIN_START, type ComputeLog, logHash } from "../../src/coalition/log.ts";
import type { Marker } from "../../src/coalition/marker.ts";
import { type Offer, offerId } from "../../src/coalition/offer.ts";
import { type ComputeRequest, requestId } from "../../src/coalition/request.ts";
import { type SignedRecord, signRecord } from "../../src/network/record.ts";
import type { Order } from "../../src/zipnet/compose.ts";
import { keyNamed, seedNamed } from "./coalition.ts";
import { FAKE_START_MS } from "./fake-clock.ts";

export type Terms = Omit<Offer, "offerId" | "free">;

export function testOffer(change: Partial<Terms & Pick<Offer, "free">> = {}): Offer {
  const { free = 4, ...rest } = change;
  const terms: Terms = {
    region: "lab",
    regionClass: "europe",
    shape: { cpuMillicores: 1000, ramMib: 1024, storageGib: 8 },
    tee: "none",
    imageKinds: ["none"],
    durationMaxMs: 4 * HOUR_MS,
    pricePerHourMicros: 50_000,
    ...rest,
  };
  return { ...terms, offerId: offerId(terms), free };
}

export interface ProviderActor {
  readonly name: string;
  readonly id: Bytes32;
  readonly operator: SigningKey;
  readonly boot: SigningKey;
  readonly bootSeed: Bytes32;
  readonly kem: KemKeyPair;
  readonly endorsement: Endorsement;
  /** Another instance of the same provider: a new boot key under its own seq. */
  instance(seq: number, notAfterMs?: number): ProviderActor;
  sign(kind: string, body: object): SignedRecord;
  card(change?: Partial<ProviderCard>): ProviderCard;
  admission(grant: ComputeGrant, change?: Partial<Admission>): Admission;
  refusal(grant: ComputeGrant, code: RefusalCode, change?: Partial<Refusal>): Refusal;
  log(
    grant: ComputeGrant,
    status: ComputeLog["status"],
    previous?: ComputeLog,
    change?: Partial<ComputeLog>,
  ): ComputeLog;
  marker(reason: Marker["reason"], change?: Partial<Marker>): Marker;
}

export function providerActor(
  coalition: Coalition,
  name: string,
  { operator = keyNamed("operator"), seq = 1, notAfterMs = FAKE_START_MS + 12 * HOUR_MS } = {},
): ProviderActor {
  const bootSeed = seedNamed(`boot ${name} ${seq}`);
  const boot = signingKey(bootSeed);
  const kem = kemKeyPair(seedNamed(`kem ${name} ${seq}`));
  const id = providerId(operator.publicKey, name);
  const endorsement = endorse(
    operator,
    coalition.network,
    { name, bootKey: boot.publicKey, kemKey: kem.publicKey, seq, notAfterMs },
    notAfterMs,
  );
  const answer = (grant: ComputeGrant): Admission => ({
    v: 1,
    grantId: grantId(grant),
    requestId: grant.requestId,
    attempt: grant.attempt,
    providerId: id,
    tick: 1,
    endorsement,
  });
  return {
    name,
    id,
    operator,
    boot,
    bootSeed,
    kem,
    endorsement,
    instance: (newSeq, until = notAfterMs) =>
      providerActor(coalition, name, { operator, seq: newSeq, notAfterMs: until }),
    sign: (kind, body) => signRecord(boot, coalition.network, kind, body),
    card: (change = {}) => ({ ...plainCard(id, endorsement), ...change }),
    admission: (grant, change = {}) => ({ ...answer(grant), ...change }),
    refusal: (grant, code, change = {}) => ({ ...answer(grant), code, ...change }),
    log: (grant, status, previous, change = {}) => ({
      ...answer(grant),
      seq: previous === undefined ? 0 : previous.seq + 1,
      previous: previous === undefined ? CHAIN_START : logHash(previous),
      status,
      window: { fromMs: FAKE_START_MS, toMs: FAKE_START_MS + 1000 },
      usage: { cpuCoreMs: 10, ramMibSeconds: 20, netBytes: null, basis: "measured" },
      ...change,
    }),
    marker: (reason, change = {}) => ({
      v: 1,
      providerId: id,
      reason,
      tick: 1,
      endorsement,
      ...change,
    }),
  };
}

function plainCard(id: Bytes32, endorsement: Endorsement): ProviderCard {
  return {
    v: 1,
    providerId: id,
    counter: 0,
    tick: 1,
    status: "serving",
    offers: [testOffer()],
    rates: { minimumChargeMicros: 0, logIntervalMs: 120_000 },
    telemetry: {
      cpuMillicoresProvisioned: 0,
      ramMibProvisioned: 0,
      grantsActive: 0,
      grantsMax: 8,
    },
    replyChannel: "board",
    manifestPreHash: seedNamed("program manifest"),
    release: { version: "0.1.0", tree: "source" },
    endorsement,
  };
}

/** A small machine for a minute that every test offer serves. */
export function testOrder(change: Partial<Order> = {}): Order {
  return {
    manifest: {
      v: 1,
      crate: { name: "shell", version: "1", tree: "" },
      minCpuMillicores: 250,
      minRamMib: 256,
      minStorageGib: 1,
      tee: "none",
      networkPolicy: { egress: "none", hosts: [] },
    },
    image: { kind: "none", digest: new Uint8Array(32) as Bytes32, pointer: "" },
    regionClass: "any",
    regionHint: "",
    durationMs: 60_000,
    maxPricePerHourMicros: 100_000,
    accept: { releases: [], providerTee: "none", tcb: "unattested" },
    sshKey: keyNamed("ssh login").publicKey,
    patienceTicks: 50,
    ...change,
  };
}

/** The grant a committee would make of this request and card. */
export function grantOf(
  coalition: Coalition,
  request: ComputeRequest,
  card: ProviderCard,
  change: Partial<ComputeGrant> = {},
): ComputeGrant {
  const offer = card.offers[0] ?? testOffer();
  return {
    v: 1,
    requestId: requestId(request),
    attempt: 1,
    providerId: card.providerId,
    offerId: offer.offerId,
    cardHash: cardHash(card),
    pricePerHourMicros: offer.pricePerHourMicros,
    imageCommitment: request.imageCommitment,
    manifestCommitment: request.manifestCommitment,
    bearerPointer: request.bearerPointer,
    validToTick: 100,
    notAfterMs: FAKE_START_MS + HOUR_MS,
    committeeEpoch: coalition.file.committee.epoch,
    ...change,
  };
}
