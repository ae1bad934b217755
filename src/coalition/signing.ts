/**
 * Threshold signing of a grant: FROST over ed25519 (RFC 9591). Members vote and commit in one answer, then sign;
 * a bad or silent signer is named, and another subset starts with fresh nonces. Nonces live in memory, are used
 * once and never stored: a restart merely wastes a session.
 */
import type { FROST } from "@noble/curves/abstract/frost.js";
import { ed25519, ed25519_FROST } from "@noble/curves/ed25519.js";
import { must } from "../base/assert.ts";
import { type Bytes32, toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { NONCES_HELD_MAX } from "../base/limits.ts";
import { Bytes32Schema, integer, type Static, strictObject } from "../base/schema.ts";
import type { Coalition } from "./config.ts";

const frost: FROST = ed25519_FROST;
type FrostPublic = Parameters<FROST["verifyShare"]>[0];
type GenNonce = ReturnType<FROST["commit"]>;

/** A member's public nonces for one session. */
export const CommitmentSchema = strictObject({
  index: integer(1, 255),
  hiding: Bytes32Schema,
  binding: Bytes32Schema,
});
export type Commitment = Static<typeof CommitmentSchema>;

export function frostPublic(coalition: Coalition): FrostPublic {
  const { committee } = coalition.file;
  return {
    signers: { min: committee.grantThreshold, max: coalition.members.length },
    commitments: committee.grantCommitments.map((hex) => new Uint8Array(Buffer.from(hex, "hex"))),
    verifyingShares: Object.fromEntries(
      [...coalition.grantShareKeys].map(([index, key]) => [
        frost.Identifier.fromNumber(index),
        key,
      ]),
    ),
  };
}

export interface Signer {
  /** Fresh nonces for one session; their public half. */
  commit(): Commitment;
  /**
   * This member's share of the signature. Throws `bad-argument` when its own commitment in the list is not one it
   * made and has not used.
   */
  sign(message: Uint8Array, commitments: readonly Commitment[]): Uint8Array;
}

/** Throws `config-invalid` when the share does not belong to the committee's key. */
export function createSigner(coalition: Coalition, index: number, share: Uint8Array): Signer {
  const pub = frostPublic(coalition);
  const secret = { identifier: frost.Identifier.fromNumber(index), signingShare: share };
  try {
    frost.validateSecret(secret, pub);
  } catch (cause) {
    throw new BridgeError("config-invalid", "the grant share does not match the coalition's key", {
      cause,
      fix: "use the share file that was made with this coalition.toml",
    });
  }
  const held = new Map<string, GenNonce>();
  return {
    commit() {
      const nonce = frost.commit(secret);
      held.set(toHex(nonce.commitments.hiding), nonce);
      for (const oldest of held.keys()) {
        if (held.size <= NONCES_HELD_MAX) break;
        held.delete(oldest);
      }
      return {
        index,
        hiding: nonce.commitments.hiding as Bytes32,
        binding: nonce.commitments.binding as Bytes32,
      };
    },
    sign(message, commitments) {
      const own = commitments.find((commitment) => commitment.index === index);
      const nonce = own && held.get(toHex(own.hiding));
      if (nonce === undefined) throw new BridgeError("bad-argument", "unknown or used nonce");
      held.delete(toHex(nonce.commitments.hiding));
      try {
        return frost.signShare(secret, pub, nonce.nonces, commitmentList(commitments), message);
      } catch (cause) {
        throw new BridgeError("bad-argument", "the commitments are not pairs of valid points", {
          cause,
        });
      }
    },
  };
}

export interface SigningPeer {
  readonly index: number;
  commit(): Promise<Commitment>;
  sign(commitments: readonly Commitment[]): Promise<Uint8Array>;
}

export interface SigningResult {
  readonly signature: Uint8Array;
  /** Members that gave a bad share or none, and why. */
  readonly named: readonly { readonly index: number; readonly reason: "bad-share" | "silent" }[];
}

/**
 * Drives sessions over the willing members until one succeeds. `ready` holds a first commitment of each.
 * Throws `too-few-shares` when fewer than the threshold are left; each round names at least one member.
 */
export async function signTogether(
  coalition: Coalition,
  message: Uint8Array,
  willing: readonly SigningPeer[],
  ready: ReadonlyMap<number, Commitment>,
): Promise<SigningResult> {
  const pub = frostPublic(coalition);
  const threshold = coalition.file.committee.grantThreshold;
  const named: { index: number; reason: "bad-share" | "silent" }[] = [];
  const first = new Map(ready);
  let peers = [...willing];
  while (peers.length >= threshold) {
    const subset = peers.slice(0, threshold);
    const before = named.length;
    const commitments = await collect(subset, named, async (peer) => {
      const commitment = first.get(peer.index) ?? (await peer.commit());
      first.delete(peer.index);
      return commitment;
    });
    for (const [index, commitment] of commitments) {
      if (commitment.index === index && isCommitment(commitment)) continue;
      commitments.delete(index);
      named.push({ index, reason: "bad-share" });
    }
    if (commitments.size === threshold) {
      const list = [...commitments.values()];
      const shares = await collect(subset, named, (peer) => peer.sign(list));
      const signature = combine(pub, message, list, shares, named);
      if (signature !== undefined) return { signature, named };
    }
    if (named.length === before) break;
    peers = peers.filter((peer) => !named.some((bad) => bad.index === peer.index));
  }
  const who = named.map((bad) => `member ${bad.index} ${bad.reason}`).join(", ");
  throw new BridgeError(
    "too-few-shares",
    `not enough members signed (${who || "too few willing"})`,
    { retry: "later" },
  );
}

async function collect<T>(
  subset: readonly SigningPeer[],
  named: { index: number; reason: "bad-share" | "silent" }[],
  ask: (peer: SigningPeer) => Promise<T>,
): Promise<Map<number, T>> {
  const answers = new Map<number, T>();
  await Promise.all(
    subset.map(async (peer) => {
      try {
        answers.set(peer.index, await ask(peer));
      } catch {
        named.push({ index: peer.index, reason: "silent" });
      }
    }),
  );
  return answers;
}

/** The whole is checked first, which is cheap; share by share only to name who spoilt it (RFC 9591 section 5.3). */
function combine(
  pub: FrostPublic,
  message: Uint8Array,
  commitments: readonly Commitment[],
  shares: ReadonlyMap<number, Uint8Array>,
  named: { index: number; reason: "bad-share" | "silent" }[],
): Uint8Array | undefined {
  if (shares.size < commitments.length) return undefined;
  const list = commitmentList(commitments);
  const byId = new Map(
    commitments.map(({ index }) => [
      frost.Identifier.fromNumber(index),
      { index, share: must(shares.get(index), "one share per commitment") },
    ]),
  );
  try {
    const all = [...byId].map(([id, { share }]) => [id, share] as const);
    return frost.aggregate(pub, list, message, Object.fromEntries(all));
  } catch {
    for (const [id, { index, share }] of byId) {
      if (!holds(() => frost.verifyShare(pub, list, message, id, share)))
        named.push({ index, reason: "bad-share" });
    }
    return undefined;
  }
}

/** One bad point would make every honest signer of the session fail, and be named in its place. */
function isCommitment({ hiding, binding }: Commitment): boolean {
  return [hiding, binding].every((bytes) =>
    holds(() => {
      const point = ed25519.Point.fromBytes(bytes);
      return !point.is0() && point.isTorsionFree();
    }),
  );
}

/** Points or scalars that do not decode make the library throw; that is a bad share, too. */
function holds(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}

function commitmentList(commitments: readonly Commitment[]): Parameters<FROST["signShare"]>[3] {
  return commitments.map(({ index, hiding, binding }) => ({
    identifier: frost.Identifier.fromNumber(index),
    hiding,
    binding,
  }));
}
