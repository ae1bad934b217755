/** A member as a voter: what it votes for, what it refuses and why, and whom it listens to. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concat } from "../../src/base/bytes.ts";
import { encodeCanonical } from "../../src/base/canonical.ts";
import { codeOf, type ErrorCode } from "../../src/base/errors.ts";
import { GRANT_TIME_SLACK_MS, RECENT_CARDS_MAX } from "../../src/base/limits.ts";
import { silentLogger } from "../../src/base/log.ts";
import { openBallot } from "../../src/coalition/ballot.ts";
import { proposerOf } from "../../src/coalition/clearing.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import { openMarket } from "../../src/coalition/market.ts";
import type { ComputeRequest } from "../../src/coalition/request.ts";
import { createSigner } from "../../src/coalition/signing.ts";
import {
  createVoter,
  isOver,
  SIGN_PROTOCOL,
  serveVoting,
  VOTE_PROTOCOL,
  type Voter,
} from "../../src/coalition/voting.ts";
import type { Node } from "../../src/network/node.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { world } from "../network/peers.ts";
import { grantOf, providerActor, testOffer, testOrder } from "../support/actors.ts";
import { secretsOf, seedNamed, signGrant, testCeremony } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { FAKE_START_MS } from "../support/fake-clock.ts";
import { type RecordBook, recordBook, tickTo } from "./book.ts";

const folder = mkdtempSync(join(tmpdir(), "compute-bridge-voting-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});
let ballots = 0;

const ceremony = testCeremony();
const { coalition } = ceremony;
const { attemptTicks, cardTicks } = coalition.file.compute;
const alpha = providerActor(coalition, "alpha");
const NOW = 100;
const ASKED_TICKS = 60; // of the test order, in ticks of a second
const LIFE = ASKED_TICKS + attemptTicks;

interface Booth {
  readonly book: RecordBook;
  readonly voter: Voter;
  readonly request: ComputeRequest;
  /** The grant the rotation's member would propose now. */
  readonly grant: ComputeGrant;
}

/** Member 1 with one request and one card, at tick NOW. */
function booth(evidence: () => string | undefined = () => undefined): Booth {
  const book = recordBook(coalition);
  tickTo(book, NOW);
  ballots += 1;
  const ballot = openBallot(join(folder, `${ballots}.db`), () => NOW, silentLogger);
  closers.push(() => ballot.close());
  const signer = createSigner(coalition, 1, secretsOf(ceremony, 1).grantShare);
  const market = openMarket(book.records);
  const voter = createVoter({ coalition, records: book.records, market, ballot, signer, evidence });
  const { record, request } = composeRequest(coalition, testOrder(), NOW);
  const card = alpha.card({ tick: NOW, counter: 1 });
  book.offer(record);
  book.offer(alpha.sign("card", card));
  const terms = { validToTick: NOW + LIFE, notAfterMs: FAKE_START_MS + 1000 * (NOW + LIFE) };
  return { book, voter, request, grant: grantOf(coalition, request, card, terms) };
}

const vote = (at: Booth, change: Partial<ComputeGrant> = {}): ErrorCode | undefined =>
  codeThrownBy(() => at.voter.vote({ ...at.grant, ...change }));

describe("a voter", () => {
  test("votes for the winner, again for the same one, and for no other in this attempt", () => {
    const at = booth();
    expect(vote(at)).toBeUndefined();
    expect(vote(at)).toBeUndefined();
    expect(vote(at, { validToTick: NOW + LIFE - 1 })).toBe("already-voted");
  });

  const refused: readonly [name: string, change: Partial<ComputeGrant>, code: ErrorCode][] = [
    ["a request it does not know", { requestId: seedNamed("x") }, "lacks-context"],
    ["an attempt that is not due", { attempt: 2 }, "not-eligible"],
    ["another committee epoch", { committeeEpoch: 2 }, "not-eligible"],
    ["another image than requested", { imageCommitment: seedNamed("x") }, "not-eligible"],
    ["another manifest than requested", { manifestCommitment: seedNamed("x") }, "not-eligible"],
    ["another envelope than requested", { bearerPointer: seedNamed("x") }, "not-eligible"],
    ["too long a life in ticks", { validToTick: NOW + LIFE + 2 }, "not-eligible"],
    [
      "too long a life in time",
      { notAfterMs: FAKE_START_MS + 1000 * (NOW + LIFE) + GRANT_TIME_SLACK_MS + 1 },
      "not-eligible",
    ],
    ["too short a life in ticks", { validToTick: NOW + ASKED_TICKS - 2 }, "not-eligible"],
    [
      "too short a life in time",
      { notAfterMs: FAKE_START_MS + 1000 * (NOW + ASKED_TICKS) - GRANT_TIME_SLACK_MS - 1 },
      "not-eligible",
    ],
    ["a provider without a card", { providerId: seedNamed("x") }, "lacks-context"],
    ["a card it has not seen", { cardHash: seedNamed("x") }, "lacks-context"],
    ["an offer the provider does not make", { offerId: seedNamed("x") }, "not-eligible"],
    ["a price above the offer's", { pricePerHourMicros: 50_001 }, "not-eligible"],
    ["a price below the offer's", { pricePerHourMicros: 49_999 }, "not-eligible"],
  ];
  for (const [name, change, code] of refused) {
    test(`refuses ${name}: ${code}`, () => {
      const at = booth();
      expect(vote(at, change)).toBe(code);
      expect(vote(at)).toBeUndefined(); // its vote is not used up
    });
  }

  test("refuses an offer that its own filters leave out, whoever proposes it", () => {
    const changes: readonly [string, (at: Booth) => void][] = [
      [
        "draining",
        ({ book }) =>
          book.offer(alpha.sign("card", alpha.card({ tick: NOW, counter: 2, status: "draining" }))),
      ],
      [
        "full",
        ({ book }) =>
          book.offer(
            alpha.sign(
              "card",
              alpha.card({ tick: NOW, counter: 2, offers: [testOffer({ free: 0 })] }),
            ),
          ),
      ],
      [
        "gone stale",
        ({ book }) => {
          book.offer(alpha.sign("card", alpha.card({ tick: NOW - cardTicks - 1, counter: 2 })));
        },
      ],
    ];
    for (const [, change] of changes) {
      const at = booth();
      change(at);
      expect(vote(at)).toBe("not-eligible");
    }
    expect(vote(booth(() => "no-evidence"))).toBe("not-eligible");
  });

  test("refuses once the request has expired", () => {
    const at = booth();
    tickTo(at.book, at.request.expiryTick + 1);
    expect(vote(at)).toBe("not-eligible");
  });

  test("allows a tick of difference between members, and no more", () => {
    const early = booth();
    tickTo(early.book, NOW + attemptTicks - 2);
    expect(vote(early, { attempt: 2, providerId: alpha.id })).toBe("not-eligible");
    tickTo(early.book, NOW + attemptTicks - 1);
    expect(vote(early, { attempt: 2 })).toBeUndefined();
    const late = booth();
    tickTo(late.book, NOW + attemptTicks);
    expect(vote(late)).toBe("not-eligible"); // attempt 1 has passed
  });

  test("takes one of the provider's recent cards, as long as the current one still makes the offer", () => {
    const at = booth();
    for (let counter = 2; counter <= RECENT_CARDS_MAX; counter += 1) {
      at.book.offer(alpha.sign("card", alpha.card({ tick: NOW, counter })));
    }
    expect(vote(at)).toBeUndefined();
    const dearer = booth();
    const offers = [testOffer({ pricePerHourMicros: 60_000 })];
    dearer.book.offer(alpha.sign("card", alpha.card({ tick: NOW, counter: 2, offers })));
    expect(vote(dearer)).toBe("not-eligible");
  });

  test("does not give a later attempt to a provider of an earlier one", async () => {
    const at = booth();
    at.book.offer(await signGrant(ceremony, at.grant));
    at.book.offer(alpha.sign("refusal", alpha.refusal(at.grant, "busy")));
    expect(vote(at, { attempt: 2 })).toBe("not-eligible");
    const beta = providerActor(coalition, "beta");
    const card = beta.card({ tick: NOW });
    at.book.offer(beta.sign("card", card));
    const { validToTick, notAfterMs } = at.grant;
    const next = grantOf(coalition, at.request, card, { attempt: 2, validToTick, notAfterMs });
    expect(codeThrownBy(() => at.voter.vote(next))).toBeUndefined();
  });

  test("signs only what it voted for", () => {
    const at = booth();
    const list = () => [at.voter.vote(at.grant)];
    const other = { ...at.grant, validToTick: NOW + LIFE - 1 };
    expect(codeThrownBy(() => at.voter.sign(at.grant, []))).toBe("already-voted");
    const commitments = list();
    expect(codeThrownBy(() => at.voter.sign(other, commitments))).toBe("already-voted");
  });
});

describe("a release is over", () => {
  const release = (grant: ComputeGrant, seq: number) => ({
    ...grant,
    seq,
    bootKey: alpha.boot.publicKey,
  });

  test("with a refusal or a final log of that instance or a newer one, and not before", async () => {
    const at = booth();
    const { records } = at.book;
    at.book.offer(await signGrant(ceremony, at.grant));
    const over = (seq: number): boolean => isOver(records, release(at.grant, seq));
    expect(over(1)).toBe(false);
    at.book.offer(alpha.sign("admission", alpha.admission(at.grant)));
    const interim = alpha.log(at.grant, "interim");
    at.book.offer(alpha.sign("log", interim));
    expect(over(1)).toBe(false);
    at.book.offer(alpha.sign("log", alpha.log(at.grant, "failed", interim)));
    expect([over(1), over(2)]).toEqual([true, false]);
    const second = alpha.instance(2);
    at.book.offer(second.sign("refusal", second.refusal(at.grant, "unavailable")));
    expect([over(2), over(3)]).toEqual([true, false]);
  });
});

describe("votes and signatures are served", () => {
  /** Member 1 serving on a network, and a way to ask it as anybody. */
  async function polling(at: Booth) {
    const { clock, network } = world();
    const start = (seed: Uint8Array): Promise<Node> =>
      network.startNode({
        seed,
        listen: ["/ip4/127.0.0.1/tcp/1"],
        announce: [],
        bootstrap: [],
        topic: "t",
        clock,
        log: silentLogger,
      });
    const server = await start(secretsOf(ceremony, 1).seed);
    serveVoting(server, coalition, at.voter);
    const as = async (seed: Uint8Array) => {
      const node = await start(seed);
      return (protocol: string, body: Uint8Array): Promise<string> =>
        clock.run(
          node
            .request(server.self, protocol, body, { timeoutMs: 100 })
            .then(() => "served", codeOf),
          1000,
        );
    };
    return { network, as };
  }

  test("to the member that proposes for this attempt, and to nobody else", async () => {
    let at = booth();
    while (proposerOf(at.grant.requestId, 1, 3) !== 2) at = booth();
    const { network, as } = await polling(at);
    const commitments = [{ index: 1, hiding: seedNamed("h"), binding: seedNamed("b") }];
    const answers: string[][] = [];
    for (const seed of [
      seedNamed("stranger"),
      secretsOf(ceremony, 3).seed,
      secretsOf(ceremony, 2).seed,
    ]) {
      const ask = await as(seed);
      answers.push([
        await ask(VOTE_PROTOCOL, encodeCanonical({ grant: at.grant })),
        await ask(SIGN_PROTOCOL, encodeCanonical({ grant: at.grant, commitments })),
      ]);
    }
    expect(answers).toEqual([
      ["not-eligible", "not-eligible"],
      ["not-eligible", "not-eligible"],
      ["served", "refused-by-peer"], // the commitments are nobody's
    ]);
    expect(network.bugs).toEqual([]);
  });

  test("and bytes that are no request are refused with their code", async () => {
    const at = booth();
    const ask = await (await polling(at)).as(secretsOf(ceremony, 2).seed);
    expect(await ask(VOTE_PROTOCOL, new Uint8Array(0))).toBe("malformed");
    expect(await ask(VOTE_PROTOCOL, new Uint8Array(4000).fill(0x81))).toBe("too-deep");
    expect(await ask(SIGN_PROTOCOL, encodeCanonical({ grant: at.grant }))).toBe("wrong-schema");
    const trailing = concat(encodeCanonical({ grant: at.grant }), new Uint8Array(1));
    expect(await ask(VOTE_PROTOCOL, trailing)).toBe("malformed");
  });
});
