/** The ballot on real files: its rules, that it never forgets an acknowledged vote, and what the rules add up to. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { equal, toHex } from "../../src/base/bytes.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import { type Ballot, openBallot, type Release } from "../../src/coalition/ballot.ts";
import { seedNamed } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";

const folder = mkdtempSync(join(tmpdir(), "compute-bridge-ballot-"));
const opened: Ballot[] = [];
afterAll(() => {
  for (const ballot of opened) ballot.close();
  rmSync(folder, { recursive: true, force: true });
});

const request = seedNamed("request");
const [alpha, beta] = [seedNamed("provider alpha"), seedNamed("provider beta")];
const [boot, otherBoot] = [seedNamed("boot key"), seedNamed("another boot key")];
const [one, two] = [seedNamed("grant one"), seedNamed("grant two")];

/** Names what happens; an unanswered release blocks, one of these answers does not. */
class Member {
  readonly path: string;
  ballot: Ballot;
  tick = 1;
  /** Providers (hex) with the seq under which they signed that they are done. */
  readonly over = new Map<string, number>();

  constructor() {
    this.path = join(folder, `${opened.length}.db`);
    this.ballot = this.#open();
  }

  #open(): Ballot {
    const ballot = openBallot(this.path, () => this.tick, silentLogger);
    opened.push(ballot);
    return ballot;
  }

  restart(): void {
    this.ballot.close();
    this.ballot = this.#open();
  }

  vote(attempt: number, grantId = one, requestId = request): ErrorCode | undefined {
    const isOver = ({ providerId, seq }: Release): boolean =>
      (this.over.get(toHex(providerId)) ?? -1) >= seq;
    return codeThrownBy(() => this.ballot.vote(requestId, attempt, grantId, isOver));
  }

  release(attempt: number, providerId = alpha, seq = 1, requestId = request, bootKey = boot) {
    return codeThrownBy(() =>
      this.ballot.release({ requestId, attempt, providerId, seq, bootKey }),
    );
  }
}

/** The same with a restart between any two steps. */
function withRestarts(name: string, run: (member: Member, step: () => void) => void): void {
  test(name, () => run(new Member(), () => {}));
  test(`${name}, restarted after every step`, () => {
    const member = new Member();
    run(member, () => member.restart());
  });
}

describe("a vote", () => {
  withRestarts("is cast once per attempt; the same again is the same vote", (member, step) => {
    expect(member.vote(1)).toBeUndefined();
    step();
    expect(member.vote(1)).toBeUndefined();
    expect(member.vote(1, two)).toBe("already-voted");
    step();
    expect(member.ballot.hasVoted(request, 1, one)).toBe(true);
    expect(member.ballot.hasVoted(request, 1, two)).toBe(false);
    expect(member.ballot.hasVoted(request, 2, one)).toBe(false);
    expect(member.vote(1, two, seedNamed("another request"))).toBeUndefined();
  });

  withRestarts("for a later attempt closes the earlier ones", (member, step) => {
    expect(member.vote(2)).toBeUndefined();
    step();
    expect(member.vote(1)).toBe("attempt-passed");
    expect(member.vote(3, two)).toBeUndefined();
    step();
    expect(member.vote(2)).toBeUndefined(); // the vote that stands
    expect(member.vote(2, two)).toBe("already-voted");
  });

  withRestarts("for a later attempt waits while a release is held", (member, step) => {
    member.vote(1);
    expect(member.release(1)).toBeUndefined();
    step();
    expect(member.vote(2, two)).toBe("release-locked");
    member.over.set(toHex(alpha), 1);
    step();
    expect(member.vote(2, two)).toBeUndefined();
  });

  withRestarts(
    "is not unlocked by an older instance's word than the one that has the share",
    (member, step) => {
      member.release(1, alpha, 5);
      member.over.set(toHex(alpha), 4);
      step();
      expect(member.vote(2)).toBe("release-locked");
      member.over.set(toHex(alpha), 5);
      expect(member.vote(2)).toBeUndefined();
    },
  );

  withRestarts(
    "for the attempt of a release, or an earlier one, comes too late",
    (member, step) => {
      member.release(2);
      step();
      expect(member.vote(2)).toBe("attempt-passed");
      expect(member.vote(1)).toBe("attempt-passed");
      member.over.set(toHex(alpha), 9);
      expect(member.vote(2)).toBe("attempt-passed");
    },
  );

  withRestarts("needs every release below it to be over", (member, step) => {
    member.release(1, alpha);
    member.over.set(toHex(alpha), 1);
    step();
    member.vote(2);
    member.release(2, beta);
    step();
    expect(member.vote(3, two)).toBe("release-locked");
    member.over.set(toHex(beta), 1);
    expect(member.vote(3, two)).toBeUndefined();
  });
});

describe("a release", () => {
  withRestarts(
    "goes to one provider per attempt, and again to its newer instances only",
    (member, step) => {
      expect(member.release(1, alpha, 3)).toBeUndefined();
      step();
      expect(member.release(1, alpha, 3)).toBeUndefined();
      expect(member.release(1, beta, 9)).toBe("not-the-provider");
      expect(member.release(1, alpha, 2)).toBe("stale-epoch");
      // Two instances started in the same second have one seq: only the first to ask is answered.
      expect(member.release(1, alpha, 3, request, otherBoot)).toBe("stale-epoch");
      step();
      expect(member.release(1, alpha, 4)).toBeUndefined();
      expect(member.release(1, alpha, 3)).toBe("stale-epoch");
      expect(member.ballot.releases(request).map(({ seq }) => seq)).toEqual([4]);
    },
  );

  withRestarts("of an attempt below a vote or a release is refused", (member, step) => {
    member.vote(2);
    step();
    expect(member.release(1)).toBe("attempt-passed");
    expect(member.release(2, beta)).toBeUndefined();
    step();
    expect(member.release(1)).toBe("attempt-passed");
    expect(member.release(3, beta)).toBeUndefined();
    expect(member.release(2, beta)).toBe("attempt-passed");
  });

  withRestarts("needs no vote of this member", (member, step) => {
    expect(member.release(1)).toBeUndefined();
    step();
    const [held] = member.ballot.releases(request);
    expect(held && equal(held.providerId, alpha) && equal(held.requestId, request)).toBe(true);
  });
});

test("forgets only what was last touched before the given tick", () => {
  const member = new Member();
  const other = seedNamed("another request");
  member.vote(1);
  member.release(1);
  member.tick = 100;
  member.vote(1, one, other);
  member.ballot.prune(100);
  expect(member.ballot.hasVoted(request, 1, one)).toBe(false);
  expect(member.ballot.releases(request)).toEqual([]);
  expect(member.ballot.hasVoted(other, 1, one)).toBe(true);
});

describe("over any history", () => {
  const action = fc.record({
    kind: fc.constantFrom("vote", "release", "over", "restart"),
    attempt: fc.integer({ min: 1, max: 3 }),
    first: fc.boolean(),
    seq: fc.integer({ min: 1, max: 3 }),
  });

  test("one grant per attempt, one provider per attempt, and no vote past a release that is not over", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 20 }), (actions) => {
        const member = new Member();
        const votes = new Map<number, string>();
        const holders = new Map<number, string>();
        const seqs = new Map<number, number>();
        for (const { kind, attempt, first, seq } of actions) {
          const [grant, provider] = [first ? one : two, first ? alpha : beta];
          if (kind === "restart") member.restart();
          if (kind === "over") {
            const key = toHex(provider);
            member.over.set(key, Math.max(seq, member.over.get(key) ?? 0));
          }
          if (kind === "vote" && member.vote(attempt, grant) === undefined) {
            const again = votes.get(attempt) === toHex(grant);
            expect(votes.get(attempt) ?? toHex(grant)).toBe(toHex(grant));
            votes.set(attempt, toHex(grant));
            for (const [held, holder] of again ? [] : holders) {
              expect(held).toBeLessThan(attempt);
              expect(member.over.get(holder) ?? 0).toBeGreaterThanOrEqual(seqs.get(held) ?? 0);
            }
          }
          if (kind === "release" && member.release(attempt, provider, seq) === undefined) {
            expect(holders.get(attempt) ?? toHex(provider)).toBe(toHex(provider));
            expect(seq).toBeGreaterThanOrEqual(seqs.get(attempt) ?? 0);
            expect(Math.max(0, ...votes.keys(), ...holders.keys())).toBeLessThanOrEqual(attempt);
            holders.set(attempt, toHex(provider));
            seqs.set(attempt, seq);
          }
        }
        expect(member.ballot.releases(request).length).toBe(holders.size);
      }),
      { seed: 16, numRuns: 60 },
    );
  });

  test("two quorums of three members never serve two attempts at once", () => {
    const step = fc.record({
      member: fc.nat(2),
      kind: fc.constantFrom("vote", "release"),
      attempt: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 6, maxLength: 24 }), (steps) => {
        const members = [new Member(), new Member(), new Member()];
        const votes = new Map<number, Set<number>>();
        const shares = new Map<number, Set<number>>();
        const add = (to: Map<number, Set<number>>, attempt: number, who: number): void =>
          void to.set(attempt, (to.get(attempt) ?? new Set()).add(who));
        for (const { member, kind, attempt } of steps) {
          const provider = seedNamed(`provider of attempt ${attempt}`);
          if (kind === "vote" && members[member]?.vote(attempt) === undefined)
            add(votes, attempt, member);
          if (kind === "release" && (votes.get(attempt)?.size ?? 0) >= 2) {
            if (members[member]?.release(attempt, provider) === undefined)
              add(shares, attempt, member);
          }
        }
        const opened = [...shares].filter(([, who]) => who.size >= 2).map(([attempt]) => attempt);
        expect(opened.length).toBeLessThanOrEqual(1); // nobody ever signed that it is done
      }),
      { seed: 17, numRuns: 25 },
    );
  });
});
