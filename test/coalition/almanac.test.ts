/** The coalition's clock: who moves it, how fast it runs, and when it stands still. */
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { must } from "../../src/base/assert.ts";
import { currentTick } from "../../src/coalition/almanac.ts";
import { coalitionRecords } from "../../src/coalition/records.ts";
import { encodeRecord, signRecord } from "../../src/network/record.ts";
import { memberKey, testCeremony } from "../support/coalition.ts";
import { type Committee, type CommitteeOptions, startCommittee } from "../support/committee.ts";
import { FAKE_START_MS } from "../support/fake-clock.ts";
import { recordBook } from "./book.ts";

interface Vote {
  readonly member: number;
  readonly seq: number;
  readonly timeMs?: number;
}

/** Ticks after each of these votes arrived. */
function ticksAfter(members: number, threshold: number, votes: readonly Vote[]) {
  const ceremony = testCeremony({ members, threshold });
  const book = recordBook(ceremony.coalition);
  return votes.map(({ member, seq, timeMs = 1 }) => {
    // an older vote than the member's last is refused
    book.code(
      signRecord(memberKey(ceremony, member), ceremony.coalition.network, "tick", {
        v: 1,
        seq,
        timeMs,
      }),
    );
    return currentTick(book.records.ticks, threshold);
  });
}

describe("a tick stands", () => {
  test("when as many members as the threshold have signed it or a later one", () => {
    const seqs = ticksAfter(3, 2, [
      { member: 1, seq: 1 },
      { member: 2, seq: 1 },
      { member: 1, seq: 2 },
      { member: 3, seq: 5 },
      { member: 2, seq: 6 },
    ]).map(({ seq }) => seq);
    expect(seqs).toEqual([0, 1, 1, 2, 5]);
  });

  test("at time 0 before the first one", () => {
    const { coalition } = testCeremony();
    expect(coalitionRecords(coalition).tick()).toEqual({ seq: 0, timeMs: 0 });
  });

  test("never falls, whatever arrives in whatever order", () => {
    const vote = fc.record({
      member: fc.integer({ min: 1, max: 4 }),
      seq: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(vote, { maxLength: 12 }), (votes) => {
        const seqs = ticksAfter(4, 3, votes).map(({ seq }) => seq);
        expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
      }),
      { seed: 9, numRuns: 30 },
    );
  });

  test("a lying member can neither move it past the honest ones nor bend its time", () => {
    const honest = fc.tuple(
      ...[2, 3, 4].map((member) =>
        fc.record({
          member: fc.constant(member),
          seq: fc.integer({ min: 1, max: 9 }),
          timeMs: fc.integer({ min: 1000, max: 2000 }),
        }),
      ),
    );
    const lie = fc.record({
      seq: fc.constantFrom(1, 5, 1_000_000, Number.MAX_SAFE_INTEGER),
      timeMs: fc.constantFrom(1, 1500, Number.MAX_SAFE_INTEGER),
    });
    fc.assert(
      fc.property(honest, lie, (votes, { seq, timeMs }) => {
        const tick = must(
          ticksAfter(4, 3, [...votes, { member: 1, seq, timeMs }]).at(-1),
          "a tick",
        );
        const signed = votes.filter((vote) => vote.seq >= tick.seq).length;
        expect(signed).toBeGreaterThanOrEqual(2); // t - f honest members vouch for it
        expect(tick.timeMs).toBeGreaterThanOrEqual(1000);
        expect(tick.timeMs).toBeLessThanOrEqual(2000);
      }),
      { seed: 10, numRuns: 60 },
    );
  });
});

describe("the members", () => {
  let committee: Committee | undefined;
  afterEach(() => committee?.close());

  async function running(options: CommitteeOptions = {}): Promise<Committee> {
    committee = await startCommittee(options);
    await committee.clock.advance(5000);
    return committee;
  }
  const seqAt = (of: Committee, member = 1): number => of.member(member).records.tick().seq;

  for (const [members, threshold] of [
    [3, 2],
    [4, 3],
  ] as const) {
    test(`${members}, ${threshold} needed: one tick per period, however their beats lie`, async () => {
      const of = await running({ members, threshold });
      await of.kill(1); // one of them falls out of step
      await of.clock.advance(400);
      await of.start(1);
      await of.clock.advance(5000);
      const before = seqAt(of);
      await of.clock.advance(100_000);
      expect(seqAt(of) - before).toBeGreaterThanOrEqual(95);
      expect(seqAt(of) - before).toBeLessThanOrEqual(103);
    });
  }

  test("keep it going with one silent, stall below the threshold, and resume without a leap", async () => {
    const of = await running();
    await of.kill(3);
    const atLoss = seqAt(of);
    await of.clock.advance(10_000);
    expect(seqAt(of) - atLoss).toBeGreaterThanOrEqual(9);
    await of.kill(2);
    await of.clock.advance(3000);
    const stalled = seqAt(of);
    await of.clock.advance(60_000);
    expect(seqAt(of)).toBe(stalled);
    await of.start(2);
    await of.clock.advance(10_000);
    expect(seqAt(of)).toBeGreaterThan(stalled + 7);
    expect(seqAt(of)).toBeLessThanOrEqual(stalled + 11);
    expect(seqAt(of, 2)).toBe(seqAt(of));
  });

  test("one who claims the far future does not carry the others along", async () => {
    const of = await running({ members: 4, threshold: 3 });
    const liar = memberKey(of.ceremony, 4);
    await of.kill(4);
    const before = seqAt(of);
    const lie = { v: 1, seq: Number.MAX_SAFE_INTEGER - 1, timeMs: 4_000_000_000_000 };
    of.member(1).network.replica.publish(signRecord(liar, of.coalition.network, "tick", lie));
    await of.clock.advance(50_000);
    expect(seqAt(of) - before).toBeGreaterThanOrEqual(47);
    expect(seqAt(of) - before).toBeLessThanOrEqual(52);
    expect(of.member(1).records.tick().timeMs - FAKE_START_MS).toBeLessThanOrEqual(55_000);
  });

  test("a wrong wall clock of one does not become the coalition's time", async () => {
    const of = await running({ members: 4, threshold: 3 });
    of.clockOf(2).shiftMs = -3_600_000;
    await of.clock.advance(5000);
    for (const { records } of of.running()) {
      expect(Math.abs(records.tick().timeMs - of.clock.nowMs())).toBeLessThan(3000);
    }
  });

  test("a split committee stands still in the smaller half, and is one again after it", async () => {
    const of = await running();
    of.network.partition([must(of.peers[2], "three members")]);
    await of.clock.advance(20_000);
    expect(seqAt(of, 1) - seqAt(of, 3)).toBeGreaterThan(15);
    of.network.heal();
    await of.clock.advance(15_000);
    expect(Math.abs(seqAt(of, 1) - seqAt(of, 3))).toBeLessThanOrEqual(1);
  });

  test("a restart goes on where the archive ends", async () => {
    const of = await running();
    const before = seqAt(of);
    for (const index of [1, 2, 3]) await of.kill(index);
    await of.clock.advance(60_000);
    for (const index of [1, 2, 3]) await of.start(index);
    expect(seqAt(of)).toBe(before);
    await of.clock.advance(5000);
    expect(seqAt(of) - before).toBeGreaterThanOrEqual(3);
    expect(seqAt(of) - before).toBeLessThanOrEqual(6);
  });
});

test("what is no member's, or not of this shape, is no tick", () => {
  const ceremony = testCeremony();
  const book = recordBook(ceremony.coalition);
  const sign = (body: object) =>
    encodeRecord(signRecord(memberKey(ceremony, 1), ceremony.coalition.network, "tick", body));
  const codes = [
    { v: 1, seq: 0, timeMs: 1 },
    { v: 1, seq: 1, timeMs: 0 },
    { v: 2, seq: 1, timeMs: 1 },
    { v: 1, seq: 1, timeMs: 1, more: 1 },
  ].map((body) => book.code(sign(body)));
  expect(codes).toEqual(["wrong-schema", "wrong-schema", "wrong-schema", "wrong-schema"]);
});
