/**
 * coalition.toml: the public file that says what a coalition is, who sits on its committee and under which keys it
 * acts. Everybody who takes part reads the same file; its fingerprint is what a requester pins.
 */
import { readFileSync } from "node:fs";
import { type Bytes32, bytes32, equal, fromHex, toHex } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { BridgeError } from "../base/errors.ts";
import { taggedHash } from "../base/hash.ts";
import { COALITION_FILE_BYTES_MAX, COMMITTEE_MEMBERS_MAX, HOUR_MS } from "../base/limits.ts";
import { checkName } from "../base/names.ts";
import { integer, oneOf, type Static, strictObject, Type } from "../base/schema.ts";
import { parseToml } from "../config/toml.ts";
import type { PeerKey } from "../network/transport.ts";
import { coalitionId, coalitionRoot, moduleId, networkId } from "./ids.ts";
import { curves, evaluateCommitments } from "./thresholds.ts";

/** A key that one member holds whole is no threshold key, and our FROST makes none. */
export const THRESHOLD_MIN = 2;

export const CURRENCY = /^[A-Z]{3,8}$/;

const Hex32 = Type.String({ pattern: "^[0-9a-f]{64}$" });

export const CoalitionSchema = strictObject({
  version: Type.Literal(1),
  name: Type.String({ minLength: 1, maxLength: 64 }),
  /** Random; tells two deployments of one name apart. */
  salt: Hex32,
  /** `single-machine`: one machine saw every share, so the thresholds protect nothing yet. */
  ceremony: oneOf(["single-machine", "distributed"]),
  currency: Type.String({ pattern: CURRENCY.source }),
  lattices: Type.Array(Hex32, { maxItems: 64 }),
  organisms: Type.Array(
    strictObject({
      role: Type.String({ minLength: 1, maxLength: 64 }),
      stableId: Hex32,
      contentHash: Type.Optional(Hex32),
    }),
    { maxItems: 64 },
  ),
  ticketIssuer: Type.Optional(Hex32),
  almanac: strictObject({ periodMs: integer(100, HOUR_MS) }),
  compute: strictObject({
    /** Ticks an attempt may take to produce a grant, and a grant to be admitted, before the next attempt. */
    attemptTicks: integer(2, 1000),
    /** A card not renewed for this long is not scheduled. */
    cardTicks: integer(2, 10_000),
    /** A request may ask to live at most this long without a grant. */
    requestTicks: integer(4, 100_000),
    /** How long records outlive the grant they belong to. */
    keepTicks: integer(10, 1_000_000),
    /** Operator keys that may publish cards; empty means any. */
    operators: Type.Array(Hex32, { maxItems: 256 }),
  }),
  committee: strictObject({
    epoch: integer(1, 1_000_000),
    grantThreshold: integer(1, COMMITTEE_MEMBERS_MAX),
    unsealThreshold: integer(1, COMMITTEE_MEMBERS_MAX),
    /** Members that may lie without harm; see `coalition/README.md`. */
    faulty: integer(0, COMMITTEE_MEMBERS_MAX),
    /** Feldman commitments of the two key generations; the first of each is the public key. */
    grantCommitments: Type.Array(Hex32, { minItems: 1, maxItems: COMMITTEE_MEMBERS_MAX }),
    unsealCommitments: Type.Array(Hex32, { minItems: 1, maxItems: COMMITTEE_MEMBERS_MAX }),
    members: Type.Array(
      strictObject({
        name: Type.String({ minLength: 1, maxLength: 64 }),
        key: Hex32,
        addresses: Type.Array(Type.String({ maxLength: 256 }), { minItems: 1, maxItems: 8 }),
      }),
      { minItems: 1, maxItems: COMMITTEE_MEMBERS_MAX },
    ),
  }),
});
export type CoalitionFile = Static<typeof CoalitionSchema>;

export interface Member {
  /** 1-based: the x coordinate of its shares. */
  readonly index: number;
  readonly name: string;
  readonly key: Bytes32;
  readonly peer: PeerKey;
  readonly addresses: readonly string[];
}

export interface Coalition {
  readonly file: CoalitionFile;
  /** What a requester pins. */
  readonly fingerprint: Bytes32;
  readonly network: Bytes32;
  readonly computeModule: Bytes32;
  readonly members: readonly Member[];
  /** ed25519 public key that signs grants. */
  readonly grantKey: Bytes32;
  /** ristretto255 public key that envelopes are sealed to. */
  readonly unsealKey: Bytes32;
  /** Public keys of the members' shares, by member index. */
  readonly grantShareKeys: ReadonlyMap<number, Bytes32>;
  readonly unsealShareKeys: ReadonlyMap<number, Bytes32>;
}

/** Reads, checks and derives. Throws `config-unreadable` or `config-invalid` with every problem found. */
export function readCoalition(path: string, pin?: string): Coalition {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new BridgeError("config-unreadable", `cannot read the coalition file ${path}`, { cause });
  }
  const coalition = parseCoalition(bytes, path);
  if (pin !== undefined && !equal(fromHex(pin, "coalition pin"), coalition.fingerprint)) {
    throw new BridgeError(
      "config-invalid",
      `${path} has the fingerprint ${toHex(coalition.fingerprint)}, not the pinned one`,
      {
        fix: "compare the file with the one your coalition published; do not go on with this one",
      },
    );
  }
  return coalition;
}

/** The file's bytes, read, checked and derived; `path` is what an error names. Throws `config-invalid`. */
export function parseCoalition(bytes: Uint8Array, path: string): Coalition {
  if (bytes.length > COALITION_FILE_BYTES_MAX) {
    throw new BridgeError(
      "config-invalid",
      `${path} is larger than ${COALITION_FILE_BYTES_MAX} bytes`,
    );
  }
  return coalitionFrom(parseToml(bytes, path).decode(CoalitionSchema));
}

export function coalitionFrom(file: CoalitionFile): Coalition {
  checkName(file.name, "coalition name");
  const { committee } = file;
  checkThresholds(
    committee.members.length,
    committee.grantThreshold,
    committee.unsealThreshold,
    committee.faulty,
  );
  const members = committee.members.map((member, i) => ({
    index: i + 1,
    name: checkName(member.name, "member name"),
    key: bytes32(fromHex(member.key), "member key"),
    peer: member.key,
    addresses: member.addresses,
  }));
  if (new Set(members.map((member) => member.peer)).size !== members.length) {
    throw new BridgeError("config-invalid", "two committee members have the same key");
  }
  const grantCommitments = commitments(
    committee.grantCommitments,
    committee.grantThreshold,
    "grantCommitments",
  );
  const unsealCommitments = commitments(
    committee.unsealCommitments,
    committee.unsealThreshold,
    "unsealCommitments",
  );
  const root = coalitionRoot(coalitionId(file.name), {
    lattices: file.lattices.map((id) => fromHex(id)),
    organisms: file.organisms.map((organism) => fromHex(organism.stableId)),
    ticketIssuer: file.ticketIssuer === undefined ? undefined : fromHex(file.ticketIssuer),
  });
  return {
    file,
    fingerprint: taggedHash("compute-bridge/coalition-file/v1", encodeCanonical(file)),
    network: networkId(root, fromHex(file.salt)),
    computeModule: moduleId(root, "compute"),
    members,
    grantKey: grantCommitments[0] as Bytes32,
    unsealKey: unsealCommitments[0] as Bytes32,
    grantShareKeys: evaluateCommitments(curves.grant, grantCommitments, members.length),
    unsealShareKeys: evaluateCommitments(curves.unseal, unsealCommitments, members.length),
  };
}

/**
 * Any two quorums, of one kind or of both, must share an honest member: then one attempt has one grant, and a
 * quorum that grants a later attempt meets one that opened an earlier one. DESIGN section 6.2 asks it of a grant and
 * an unseal quorum together; two of one kind need it as well when the thresholds differ.
 */
export function checkThresholds(n: number, grant: number, unseal: number, faulty: number): void {
  const problem =
    grant > n || unseal > n
      ? `thresholds ${grant} and ${unseal} cannot exceed the ${n} members`
      : 2 * Math.min(grant, unseal) <= n + faulty
        ? `twice each threshold (${grant} and ${unseal}) must exceed members + faulty = ${n + faulty}`
        : Math.min(grant, unseal) < THRESHOLD_MIN
          ? `thresholds ${grant} and ${unseal} must be at least ${THRESHOLD_MIN}`
          : undefined;
  if (problem === undefined) return;
  throw new BridgeError("config-invalid", `committee: ${problem}`, {
    fix: "for example 3 members with threshold 2 (no faulty one), or 4 with threshold 3 (one faulty)",
  });
}

function commitments(hex: readonly string[], threshold: number, what: string): Bytes32[] {
  if (hex.length !== threshold) {
    throw new BridgeError(
      "config-invalid",
      `committee.${what} must have ${threshold} entries, one per threshold`,
    );
  }
  return hex.map((text) => bytes32(fromHex(text), what));
}

export function memberByKey(coalition: Coalition, key: Uint8Array): Member | undefined {
  return coalition.members.find((member) => equal(member.key, key));
}

/** What a grant's bounds allow for admission and start, on top of the requested duration. */
export function attemptSlackMs(coalition: Coalition): number {
  return coalition.file.compute.attemptTicks * coalition.file.almanac.periodMs;
}
