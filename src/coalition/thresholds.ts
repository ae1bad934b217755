/**
 * The two threshold keys of a committee: FROST over ed25519 for grants (RFC 9591), and a ristretto255 key for
 * envelopes. Both come from the same distributed key generation (Pedersen, as in the FROST paper), so no one ever
 * holds a whole key unless one machine runs the whole ceremony.
 */
import { ed25519, ed25519_FROST, ristretto255, ristretto255_FROST } from "@noble/curves/ed25519.js";
import { must } from "../base/assert.ts";
import type { Bytes32 } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";

export const curves = {
  grant: { Point: ed25519.Point, frost: ed25519_FROST },
  unseal: { Point: ristretto255.Point, frost: ristretto255_FROST },
} as const;
export type ThresholdCurve = (typeof curves)[keyof typeof curves];

export interface ThresholdKey {
  /** Feldman commitments; the first is the group's public key. */
  readonly commitments: readonly Uint8Array[];
  /** Secret share by 1-based member index. */
  readonly shares: ReadonlyMap<number, Uint8Array>;
}

/** Runs all members' parts of the key generation in this process. */
export function generateInOnePlace(
  curve: ThresholdCurve,
  threshold: number,
  members: number,
): ThresholdKey {
  const { frost } = curve;
  const ids = Array.from({ length: members }, (_, i) => frost.Identifier.fromNumber(i + 1));
  const signers = { min: threshold, max: members };
  const first = ids.map((id) => frost.DKG.round1(id, signers));
  const others = (i: number) => first.filter((_, j) => j !== i).map((round) => round.public);
  const second = first.map((round, i) => frost.DKG.round2(round.secret, others(i)));
  const keys = ids.map((id, i) => {
    const mine = second
      .filter((_, j) => j !== i)
      .map((sent) => must(sent[id], "sent to everybody"));
    const key = frost.DKG.round3(must(first[i], "one per member").secret, others(i), mine);
    frost.DKG.clean(must(first[i], "one per member").secret);
    return key;
  });
  return {
    commitments: must(keys[0], "at least one member").public.commitments,
    shares: new Map(keys.map((key, i) => [i + 1, key.secret.signingShare])),
  };
}

/**
 * The public key of every member's share: the committed polynomial at x = 1 … members.
 * Throws `config-invalid` when a commitment is not a point of the prime-order group.
 */
export function evaluateCommitments(
  curve: ThresholdCurve,
  commitments: readonly Uint8Array[],
  members: number,
): ReadonlyMap<number, Bytes32> {
  const points = commitments.map((bytes) => {
    try {
      const point = curve.Point.fromBytes(bytes);
      point.assertValidity();
      if (!point.isTorsionFree() || point.is0()) throw new Error("not of prime order");
      return point;
    } catch (cause) {
      throw new BridgeError("config-invalid", "a committee commitment is not a valid point", {
        cause,
      });
    }
  });
  const shareKeys = new Map<number, Bytes32>();
  for (let x = 1; x <= members; x += 1) {
    let sum = must(points.at(-1), "at least one commitment");
    for (let k = points.length - 2; k >= 0; k -= 1) {
      sum = sum.multiplyUnsafe(BigInt(x)).add(must(points[k], "k is in range") as never);
    }
    shareKeys.set(x, sum.toBytes() as Bytes32);
  }
  return shareKeys;
}
