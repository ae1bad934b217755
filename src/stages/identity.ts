/**
 * The provider's keys: a boot key and a KEM key made in memory at every start, and the operator's endorsement of them.
 * In development the provider endorses itself with the operator's key; the appliance gets its endorsement by attested
 * provisioning and holds no operator key.
 */

import type { Bytes32 } from "../base/bytes.ts";
import { toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { randomSeed, type SigningKey, signingKey } from "../base/ed25519.ts";
import { BridgeError, hasCode } from "../base/errors.ts";
import { type KemKeyPair, kemKeyPair } from "../base/hpke.ts";
import { ENDORSEMENT_MS, ENDORSEMENT_RENEW_MS, JOURNAL_RETRY_MS } from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import type { Secret } from "../base/secret.ts";
import type { Coalition } from "../coalition/config.ts";
import { type Endorsement, endorse } from "../coalition/endorsement.ts";
import { providerId } from "../coalition/ids.ts";
import type { CoalitionRecords } from "../coalition/records.ts";

export interface Identity {
  readonly providerId: Bytes32;
  readonly bootSeed: Bytes32;
  readonly bootKey: SigningKey;
  readonly kem: KemKeyPair;
  /** Throws `not-endorsed` before the first endorsement. */
  readonly endorsement: () => Endorsement;
}

export interface MutableIdentity extends Identity {
  set(endorsement: Endorsement): void;
}

export function createIdentity(operatorKey: Uint8Array, name: string): MutableIdentity {
  const bootSeed = randomSeed();
  let current: Endorsement | undefined;
  return {
    providerId: providerId(operatorKey, name),
    bootSeed,
    bootKey: signingKey(bootSeed),
    kem: kemKeyPair(),
    endorsement: () => {
      if (current !== undefined) return current;
      throw new BridgeError("not-endorsed", "this provider is not endorsed yet", {
        retry: "later",
      });
    },
    set: (endorsement) => {
      current = endorsement;
    },
  };
}

export interface SelfEndorsementOptions {
  readonly identity: MutableIdentity;
  readonly operatorSeed: Secret;
  readonly name: string;
  readonly coalition: Coalition;
  readonly records: CoalitionRecords;
  /** The newest seq this host has used, kept across restarts where there is a disk. */
  readonly lastSeq: { get(): number; set(seq: number): void };
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Returns once endorsed, and renews that well before it lapses. While the journal cannot be written it tries again. */
export async function endorseSelf(options: SelfEndorsementOptions): Promise<void> {
  const { clock, signal } = options;
  await endorseWhenWritable(options);
  void (async () => {
    while (!signal.aborted) {
      await clock.sleep(ENDORSEMENT_RENEW_MS, signal);
      await endorseWhenWritable(options);
    }
  })();
}

async function endorseWhenWritable(options: SelfEndorsementOptions): Promise<void> {
  const { clock, log, signal } = options;
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      sign(options);
      return;
    } catch (error) {
      // A seq that is not on disk could be given out twice.
      if (!hasCode(error, "journal-unwritable")) throw error;
      if (failures === 0) log.error("not-endorsed", { error });
      await clock.sleep(JOURNAL_RETRY_MS, signal);
    }
  }
}

function sign(options: SelfEndorsementOptions): void {
  const { identity, operatorSeed, name, coalition, records, lastSeq, clock } = options;
  const nowMs = Math.floor(clock.nowMs());
  const newest = Math.max(lastSeq.get(), newestSeq(records, identity.providerId));
  const seq = Math.max(newest, Math.floor(nowMs / 1000)) + 1;
  lastSeq.set(seq);
  const terms = {
    name,
    bootKey: identity.bootKey.publicKey,
    kemKey: identity.kem.publicKey,
    seq,
    notAfterMs: nowMs + ENDORSEMENT_MS,
  };
  identity.set(endorse(signingKey(operatorSeed.reveal()), coalition.network, terms, nowMs));
}

/** The highest seq the network shows for a provider. */
export function newestSeq(records: CoalitionRecords, provider: Uint8Array): number {
  const key = toHex(provider);
  const card = records.cards.get(key)?.body.endorsement.seq ?? 0;
  const marker = records.markers.get(key)?.body.endorsement.seq ?? 0;
  return Math.max(card, marker);
}
