/** A committee of real members on a network in memory: one grant per request, whatever fails on the way. */
import { afterEach, describe, expect, test } from "bun:test";
import { must } from "../../src/base/assert.ts";
import { equal, toHex } from "../../src/base/bytes.ts";
import { verify } from "../../src/base/ed25519.ts";
import { proposerOf } from "../../src/coalition/clearing.ts";
import { attemptKey } from "../../src/coalition/ids.ts";
import { SIGN_PROTOCOL, VOTE_PROTOCOL } from "../../src/coalition/voting.ts";
import { decodeRecord, signingInput } from "../../src/network/record.ts";
import { testOrder } from "../support/actors.ts";
import { codeThrownBy } from "../support/codes.ts";
import { type Committee, type CommitteeOptions, startCommittee } from "../support/committee.ts";
import { type Asked, compose, grantsOf, send, stand } from "./stand.ts";

let committee: Committee | undefined;
afterEach(async () => {
  expect(committee?.network.bugs).toEqual([]);
  await committee?.close();
});

const THREE = { members: 3, threshold: 2 };
const FOUR = { members: 4, threshold: 3 };

async function running(options: CommitteeOptions = {}): Promise<Committee> {
  committee = await startCommittee(options);
  await committee.clock.advance(3000);
  return committee;
}

const proposedBy =
  (of: Committee, member: number, attempt = 1) =>
  ({ id }: Asked): boolean =>
    proposerOf(id, attempt, of.coalition.members.length) === member;

const short = (id: Uint8Array): string => toHex(id).slice(0, 8);

for (const size of [THREE, FOUR]) {
  describe(`${size.members} members, ${size.threshold} needed`, () => {
    test("every request gets exactly one grant, which every member holds and anyone can check", async () => {
      const of = await running(size);
      const { actor, granted, card } = await stand(of, "alpha", () => "admit", { free: 100 });
      const idle = { cpuMillicoresProvisioned: 0, ramMibProvisioned: 0, grantsActive: 0 };
      card({ telemetry: { ...idle, grantsMax: 100 } });
      await of.clock.advance(100);
      const asked = Array.from({ length: 12 }, () => compose(of));
      for (const one of asked) send(of, one);
      await of.clock.advance(30_000);
      for (const { id } of asked) expect(grantsOf(of, id)).toEqual([`1 ${short(actor.id)}`]);
      expect(granted.length).toBe(12);
      expect(new Set(asked.map(({ id }) => proposerOf(id, 1, size.members))).size).toBeGreaterThan(
        1,
      );
      for (const { records } of of.running()) {
        expect(records.grants.size).toBe(12);
        for (const { bytes } of records.grants.values()) {
          const record = decodeRecord(bytes);
          expect(equal(record.signer, of.coalition.grantKey)).toBe(true);
          expect(verify(of.coalition.grantKey, signingInput(record), record.signature)).toBe(true);
        }
      }
    });

    test("a grant repeats the request and the offer, and ends in time", async () => {
      const of = await running(size);
      const { actor } = await stand(of, "alpha", () => "admit");
      const asked = compose(of);
      send(of, asked);
      await of.clock.advance(3000);
      const grant = must(of.member(1).records.grants.get(attemptKey(asked.id, 1)), "a grant").body;
      const { request } = asked;
      expect(grant).toMatchObject({
        attempt: 1,
        pricePerHourMicros: 50_000,
        bearerPointer: request.bearerPointer,
        imageCommitment: request.imageCommitment,
        manifestCommitment: request.manifestCommitment,
        committeeEpoch: 1,
      });
      expect(equal(grant.providerId, actor.id)).toBe(true);
      const now = of.member(1).records.tick();
      expect(grant.validToTick).toBeLessThanOrEqual(now.seq + 60 + 6);
      expect(grant.validToTick).toBeGreaterThan(now.seq + 60);
      expect(grant.notAfterMs - of.clock.nowMs()).toBeLessThanOrEqual(66_000);
    });

    test("a dead proposer costs one attempt; the next in turn proposes the second", async () => {
      const of = await running(size);
      const { actor } = await stand(of, "alpha", () => "admit");
      await of.kill(2);
      const asked = compose(of, {}, proposedBy(of, 2));
      send(of, asked);
      await of.clock.advance(5000);
      expect(grantsOf(of, asked.id)).toEqual([]);
      await of.clock.advance(5000);
      expect(grantsOf(of, asked.id)).toEqual([`2 ${short(actor.id)}`]);
    });

    test("a refusal with a re-grantable code brings another provider, never the same one again", async () => {
      const of = await running(size);
      const alpha = await stand(of, "alpha", () => "capacity", { pricePerHourMicros: 10_000 });
      const beta = await stand(of, "beta", () => "busy", { pricePerHourMicros: 20_000 });
      const gamma = await stand(of, "gamma", () => "admit", { pricePerHourMicros: 30_000 });
      const asked = compose(of);
      send(of, asked);
      await of.clock.advance(20_000);
      expect(grantsOf(of, asked.id)).toEqual([
        `1 ${short(alpha.actor.id)}`,
        `2 ${short(beta.actor.id)}`,
        `3 ${short(gamma.actor.id)}`,
      ]);
      expect(of.standingAt(1, asked.id)).toEqual({ state: "admitted", attempt: 3 });
    });

    test("three attempts, then none", async () => {
      const of = await running(size);
      const names = ["a", "b", "c", "d"];
      const stands = [];
      for (const name of names) stands.push(await stand(of, name, () => "unavailable"));
      const asked = compose(of);
      send(of, asked);
      await of.clock.advance(60_000);
      expect(grantsOf(of, asked.id).length).toBe(3);
      expect(stands.flatMap(({ granted }) => granted).length).toBe(3);
      expect(of.standingAt(1, asked.id)).toEqual({ state: "exhausted" });
    });

    test("a final refusal ends the request", async () => {
      const of = await running(size);
      await stand(of, "alpha", () => "above-cap", { pricePerHourMicros: 10_000 });
      await stand(of, "beta", () => "admit");
      const asked = compose(of);
      send(of, asked);
      await of.clock.advance(60_000);
      expect(grantsOf(of, asked.id).length).toBe(1);
      expect(of.standingAt(2, asked.id)).toEqual({
        state: "refused",
        attempt: 1,
        code: "above-cap",
      });
    });

    test("a silent provider loses the request to another", async () => {
      const of = await running(size);
      const alpha = await stand(of, "alpha", () => "ignore", { pricePerHourMicros: 10_000 });
      const beta = await stand(of, "beta", () => "admit");
      const asked = compose(of);
      send(of, asked);
      await of.clock.advance(20_000);
      expect(grantsOf(of, asked.id)).toEqual([
        `1 ${short(alpha.actor.id)}`,
        `2 ${short(beta.actor.id)}`,
      ]);
    });

    test("an admitted request is granted no more, however long it takes", async () => {
      const of = await running(size);
      await stand(of, "alpha", () => "admit", { pricePerHourMicros: 10_000 });
      await stand(of, "beta", () => "admit");
      const asked = compose(of);
      send(of, asked);
      await of.clock.advance(120_000);
      expect(grantsOf(of, asked.id).length).toBe(1);
    });

    test("a member that restarts between its vote and its signature does not stop the grant", async () => {
      const of = await running(size);
      await stand(of, "alpha", () => "admit");
      const asked = compose(of, {}, proposedBy(of, 1));
      const voter = must(of.peers[1], "member 2");
      let signing = false;
      of.network.rule = ({ to, protocol, channel }) => {
        if (channel !== "request") return undefined;
        // Member 2 votes first, so it is among those who are asked to sign.
        if (protocol === VOTE_PROTOCOL) return { delayMs: to === voter ? 20 : 70 };
        if (protocol !== SIGN_PROTOCOL || to !== voter) return undefined;
        signing = true;
        return { delayMs: 800 };
      };
      send(of, asked);
      await of.clock.until(() => signing, 20_000, "a request to sign");
      await of.kill(2);
      await of.start(2);
      await of.clock.advance(5000);
      expect(grantsOf(of, asked.id).length).toBe(1);
    });

    test("a proposer that dies after the votes leaves no second grant for the attempt behind", async () => {
      const of = await running(size);
      await stand(of, "alpha", () => "admit");
      const asked = compose(of, {}, proposedBy(of, 1));
      of.network.rule = ({ protocol }) => (protocol === SIGN_PROTOCOL ? "lose" : undefined);
      send(of, asked);
      await of.clock.advance(1500);
      await of.kill(1);
      of.network.rule = undefined;
      await of.clock.advance(500);
      await of.start(1);
      await of.clock.advance(20_000);
      const made = grantsOf(of, asked.id);
      expect(made.length).toBe(1);
      expect(made[0]?.slice(0, 1)).toBe("2"); // its votes for attempt 1 are spent
    });

    test("the larger side of a split goes on, the smaller side catches up and adds nothing", async () => {
      const of = await running(size);
      const alpha = await stand(of, "alpha", () => "admit");
      const lonely = must(of.peers.at(-1), "the last member");
      of.network.partition([lonely]);
      const asked = [1, 2, 3, 4].map(() => compose(of));
      for (const one of asked) send(of, one);
      await of.clock.advance(30_000);
      of.network.heal();
      await of.clock.advance(30_000);
      for (const { id } of asked) expect(grantsOf(of, id).length).toBe(1);
      expect(alpha.granted.length).toBe(4);
      expect(of.member(size.members).records.grants.size).toBe(4);
    });
  });
}

describe("the market", () => {
  test("a request that needs TDX goes to nobody without it", async () => {
    const of = await running();
    await stand(of, "snp", () => "admit", { tee: "sev-snp", pricePerHourMicros: 1 });
    const asked = compose(of, { manifest: { ...testOrder().manifest, tee: "tdx" } });
    send(of, asked);
    await of.clock.advance(5000);
    expect(grantsOf(of, asked.id)).toEqual([]);
    const { actor } = await stand(of, "tdx", () => "admit", { tee: "tdx" });
    await of.clock.advance(3000);
    expect(grantsOf(of, asked.id).map((grant) => grant.slice(2))).toEqual([short(actor.id)]);
  });

  test("the cheapest wins; a dearer one only when the cheapest is full", async () => {
    const of = await running();
    const cheap = await stand(of, "cheap", () => "admit", { pricePerHourMicros: 10_000, free: 1 });
    const dear = await stand(of, "dear", () => "admit", { pricePerHourMicros: 20_000 });
    for (let i = 0; i < 3; i += 1) {
      send(of, compose(of));
      await of.clock.advance(2000);
    }
    expect([cheap.granted.length, dear.granted.length]).toEqual([1, 2]);
  });

  test("without a provider a request waits, and takes the first that comes in time", async () => {
    const of = await running();
    const asked = compose(of);
    send(of, asked);
    await of.clock.advance(8000);
    const { actor } = await stand(of, "late", () => "admit");
    await of.clock.advance(10_000);
    expect(grantsOf(of, asked.id).map((grant) => grant.slice(2))).toEqual([short(actor.id)]);
  });

  test("evidence that a member does not accept keeps the provider out, whoever proposes", async () => {
    const of = await running({ evidence: () => "rejected" });
    const { granted } = await stand(of, "alpha", () => "admit");
    const asked = compose(of);
    send(of, asked);
    await of.clock.advance(30_000);
    expect(granted).toEqual([]);
    expect(of.standingAt(1, asked.id)).toEqual({ state: "exhausted" });
  });

  test("requests that lapsed before they came are granted nothing", async () => {
    const of = await running();
    await stand(of, "alpha", () => "admit");
    const asked = compose(of, { patienceTicks: 2 });
    await of.clock.advance(4000);
    expect(of.member(1).records.tick().seq).toBeGreaterThan(asked.request.expiryTick);
    send(of, asked); // kept for a moment, as a grant may be on its way to us
    await of.clock.advance(10_000);
    expect(grantsOf(of, asked.id)).toEqual([]);
    expect(codeThrownBy(() => send(of, compose(of, { patienceTicks: -10 })))).toBe("expired");
  });
});
