/**
 * Making a coalition on one machine: member keys, the two key generations, and the public file. Every member's part of
 * the key generation runs, but in one process, so the file says `ceremony = "single-machine"` and requesters are warned:
 * whoever ran this could have kept every share.
 */
import { stringify } from "smol-toml";
import { must } from "../base/assert.ts";
import { type Bytes32, toHex } from "../base/bytes.ts";
import { randomSeed, signingKey } from "../base/ed25519.ts";
import { type Coalition, type CoalitionFile, checkThresholds, coalitionFrom } from "./config.ts";
import { curves, generateInOnePlace } from "./thresholds.ts";

export interface CeremonyOptions {
  readonly name: string;
  readonly members: number;
  /** Of both keys. */
  readonly threshold: number;
  readonly currency: string;
  readonly tickMs: number;
  /** Multiaddr of a member without its /p2p/ part, by 1-based index. */
  readonly address: (index: number) => string;
  /** Appends /p2p/ and the peer id of this key. */
  readonly withPeerId: (address: string, key: Bytes32) => string;
}

export interface MemberSecrets {
  readonly index: number;
  readonly seed: Bytes32;
  readonly grantShare: Uint8Array;
  readonly unsealShare: Uint8Array;
}

export interface Ceremony {
  readonly coalition: Coalition;
  /** The text of coalition.toml. */
  readonly toml: string;
  readonly secrets: readonly MemberSecrets[];
}

/** Members that may lie without harm with equal thresholds: any two quorums must share an honest member. */
export function faultyTolerated(members: number, threshold: number): number {
  return Math.max(0, Math.min(2 * threshold - members - 1, members - threshold));
}

/** Throws `config-invalid` for thresholds that do not keep the promises. */
export function runCeremony(options: CeremonyOptions): Ceremony {
  const { members, threshold } = options;
  const faulty = faultyTolerated(members, threshold);
  checkThresholds(members, threshold, threshold, faulty);
  const grant = generateInOnePlace(curves.grant, threshold, members);
  const unseal = generateInOnePlace(curves.unseal, threshold, members);
  const secrets = Array.from({ length: members }, (_, i) => ({
    index: i + 1,
    seed: randomSeed(),
    grantShare: must(grant.shares.get(i + 1), "one share per member"),
    unsealShare: must(unseal.shares.get(i + 1), "one share per member"),
  }));
  const file: CoalitionFile = {
    version: 1,
    name: options.name,
    salt: toHex(randomSeed()),
    ceremony: "single-machine",
    currency: options.currency,
    lattices: [],
    organisms: [],
    almanac: { periodMs: options.tickMs },
    compute: {
      attemptTicks: 6,
      cardTicks: Math.max(20, Math.ceil(90_000 / options.tickMs)),
      requestTicks: Math.max(60, Math.ceil(600_000 / options.tickMs)),
      keepTicks: Math.max(120, Math.ceil(3_600_000 / options.tickMs)),
      operators: [],
    },
    committee: {
      epoch: 1,
      grantThreshold: threshold,
      unsealThreshold: threshold,
      faulty,
      grantCommitments: grant.commitments.map(toHex),
      unsealCommitments: unseal.commitments.map(toHex),
      members: secrets.map(({ index, seed }) => {
        const { publicKey } = signingKey(seed);
        return {
          name: `member-${index}`,
          key: toHex(publicKey),
          addresses: [options.withPeerId(options.address(index), publicKey)],
        };
      }),
    },
  };
  return { coalition: coalitionFrom(file), toml: `${HEADER}${stringify(file)}\n`, secrets };
}

const HEADER = `# The public file of a coalition: everybody who takes part reads the same one, and a requester
# pins its fingerprint. ceremony = "single-machine" means one machine saw every key share, so the
# thresholds protect nothing against whoever ran it. Good for development, not for strangers.

`;
