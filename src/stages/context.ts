/** What every stage may use: the provider's keys, its view of the network, its fleet, and time. */

import type { Bytes32 } from "../base/bytes.ts";
import { equal } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { SigningKey } from "../base/ed25519.ts";
import { hasCode } from "../base/errors.ts";
import type { KemKeyPair } from "../base/hpke.ts";
import type { Logger } from "../base/log.ts";
import type { Secret } from "../base/secret.ts";
import type { Coalition } from "../coalition/config.ts";
import type { Endorsement } from "../coalition/endorsement.ts";
import type { ComputeGrant } from "../coalition/grant.ts";
import type { CoalitionRecords } from "../coalition/records.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Collection } from "../network/collection.ts";
import { decodeRecord, type SignedRecord, signRecord } from "../network/record.ts";
import type { Replica } from "../network/replica.ts";
import type { BoardRecords } from "../zipnet/board.ts";

export interface StageContext {
  readonly providerId: Bytes32;
  readonly bootKey: SigningKey;
  readonly kem: KemKeyPair;
  /** The endorsement that stands now; it is renewed while the provider runs. */
  readonly endorsement: () => Endorsement;
  /** This host's own secret; machine keys derive from it. */
  readonly localSecret: Secret;
  readonly coalition: Coalition;
  readonly records: CoalitionRecords;
  readonly board: BoardRecords;
  readonly replica: Replica;
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * No member keeps a record of this grant any more, so none can take an answer to it. That takes a provider that was
 * down for long; what it still owed is for its operator to see.
 */
export function hasLapsed(
  { records, coalition }: Pick<StageContext, "records" | "coalition">,
  { validToTick }: ComputeGrant,
): boolean {
  return records.tick().seq > validToTick + coalition.file.compute.keepTicks;
}

/**
 * Publishes a record once: when this boot key has already signed one under the key, that one is published again, so
 * an effect that runs twice does not contradict itself.
 */
export async function publishOnce<T>(
  context: StageContext,
  collection: Collection<T>,
  key: string,
  make: () => T,
  signal: AbortSignal,
): Promise<SignedRecord> {
  const { coalition, replica, bootKey } = context;
  const present = collection.get(key);
  const own = present !== undefined && equal(present.signer, bootKey.publicKey);
  const record = own
    ? decodeRecord(present.bytes)
    : signRecord(bootKey, coalition.network, collection.spec.kind, make());
  const members = coalition.members.map((member) => member.peer);
  await replica.confirm(record, members, coalition.file.committee.grantThreshold, signal);
  return record;
}

/**
 * As publishOnce, without waiting for the members: for records the members get by another way as well. Signed again
 * under a renewed endorsement, because members answer only the newest.
 */
export function announceOnce<T extends { readonly endorsement: Endorsement }>(
  context: StageContext,
  collection: Collection<T>,
  key: string,
  make: () => T,
): SignedRecord {
  const { coalition, replica, bootKey } = context;
  const present = collection.get(key);
  const { seq } = context.endorsement();
  if (present?.body.endorsement.seq === seq && equal(present.signer, bootKey.publicKey)) {
    return decodeRecord(present.bytes);
  }
  const record = signRecord(bootKey, coalition.network, collection.spec.kind, make());
  try {
    replica.publish(record);
  } catch (error) {
    if (!hasCode(error, "superseded")) throw error;
  }
  return record;
}
