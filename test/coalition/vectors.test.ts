/** Everything that is hashed, against vectors made by another implementation (test/vectors/coalition.json). */
import { describe, expect, test } from "bun:test";
import { type Bytes32, fromHex, toHex } from "../../src/base/bytes.ts";
import { cardHash } from "../../src/coalition/card.ts";
import { proposerOf } from "../../src/coalition/clearing.ts";
import { type CoalitionFile, coalitionFrom } from "../../src/coalition/config.ts";
import { grantId } from "../../src/coalition/grant.ts";
import {
  attemptKey,
  coalitionId,
  coalitionRoot,
  moduleId,
  networkId,
  providerId,
} from "../../src/coalition/ids.ts";
import { logHash } from "../../src/coalition/log.ts";
import {
  imageCommitment,
  manifestCommitment,
  postHash,
  preHash,
} from "../../src/coalition/manifest.ts";
import { offerId } from "../../src/coalition/offer.ts";
import { bearerPointer, requestBodyHash, requestId } from "../../src/coalition/request.ts";
import { recordId, signingInput } from "../../src/network/record.ts";
import { replySecret, replyTag } from "../../src/zipnet/board.ts";
import { envelopeLabel, envelopeSecret } from "../../src/zipnet/envelope.ts";
import golden from "../vectors/coalition.json";

const FUNCTIONS = {
  coalitionId,
  coalitionRoot,
  moduleId,
  networkId,
  providerId,
  requestId,
  requestBodyHash,
  bearerPointer,
  preHash,
  postHash,
  manifestCommitment,
  imageCommitment,
  offerId,
  cardHash,
  grantId,
  logHash,
  replyTag,
  replySecret,
  envelopeSecret,
  recordId,
  signingInput,
  attemptKey,
  proposerOf,
} as const;

/** Text that starts with 0x stands for bytes. */
function revive(value: unknown): unknown {
  if (typeof value === "string") return value.startsWith("0x") ? fromHex(value.slice(2)) : value;
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, revive(one)]));
}

function shown(value: unknown): unknown {
  return value instanceof Uint8Array ? `0x${toHex(value)}` : value;
}

describe("golden vectors", () => {
  golden.cases.forEach((one, i) => {
    test(`${one.of}, case ${i}`, () => {
      const name = one.of as keyof typeof FUNCTIONS;
      const compute = FUNCTIONS[name] as (...args: unknown[]) => unknown;
      expect(shown(compute(...one.args.map(revive)))).toBe(one.is);
    });
  });

  test("every function is covered", () => {
    expect(new Set(golden.cases.map((one) => one.of))).toEqual(new Set(Object.keys(FUNCTIONS)));
  });

  test("a coalition file: fingerprint, network, module, and the keys of the members' shares", () => {
    const { file, fingerprint, network, computeModule, unsealShareKeys } = golden.coalition;
    const coalition = coalitionFrom(file as CoalitionFile);
    expect(shown(coalition.fingerprint)).toBe(fingerprint);
    expect(shown(coalition.network)).toBe(network);
    expect(shown(coalition.computeModule)).toBe(computeModule);
    expect([...coalition.unsealShareKeys.values()].map(shown)).toEqual(unsealShareKeys);
  });

  test("an envelope's label", () => {
    const coalition = coalitionFrom(golden.coalition.file as CoalitionFile);
    const { request, is } = golden.coalition.envelopeLabel;
    expect(shown(envelopeLabel(coalition, revive(request) as never))).toBe(is);
  });
});

describe("what the ids tell apart", () => {
  const id = coalitionId("alpha");
  const [a, b, c] = ["a", "b", "c"].map((name) => coalitionId(name)) as [Bytes32, Bytes32, Bytes32];
  const root = (
    lattices: Uint8Array[],
    organisms: Uint8Array[],
    ticketIssuer?: Uint8Array,
  ): string => toHex(coalitionRoot(id, { lattices, organisms, ticketIssuer }));

  test("a reference cannot move from list to list, change places, or be repeated", () => {
    const roots = [
      root([a, b], [c]),
      root([a], [b, c]),
      root([], [a, b, c]),
      root([a, b, c], []),
      root([b, a], [c]),
      root([a, b, b], [c]),
      root([a, b], [], c),
    ];
    expect(new Set(roots).size).toBe(roots.length);
  });

  test("names are hashed with their length: none is another's beginning, 64 hex digits are a name", () => {
    const names = ["a", "ab", "a\u0000", "ba", toHex(a), "Zürich", "Zürich".normalize("NFD")];
    expect(new Set(names.map((name) => toHex(coalitionId(name)))).size).toBe(names.length);
    expect(toHex(coalitionId(toHex(a)))).not.toBe(toHex(a));
  });

  test("operator and name of a provider cannot lend each other bytes", () => {
    const operator = a.slice();
    expect(toHex(providerId(operator, "x"))).not.toBe(
      toHex(providerId(operator.slice(0, 31), "x")),
    );
    expect(toHex(providerId(operator, "xy"))).not.toBe(toHex(providerId(operator, "x")));
  });

  test("every field of a request changes its id", () => {
    const vector = golden.cases.find((one) => one.of === "requestId");
    const request = revive(vector?.args[0]) as Record<string, unknown>;
    const ids = Object.keys(request).map((key) => {
      const value = request[key];
      const changed = value instanceof Uint8Array ? value.slice().fill(1) : "changed";
      return toHex(requestId({ ...request, [key]: changed } as never));
    });
    expect(new Set([...ids, toHex(requestId(request as never))]).size).toBe(ids.length + 1);
  });
});
