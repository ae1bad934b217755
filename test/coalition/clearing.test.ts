/** The clearing rule: who may win, who does win, and that all members see it the same way. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compare, toHex } from "../../src/base/bytes.ts";
import { taggedHash } from "../../src/base/hash.ts";
import { HOUR_MS } from "../../src/base/limits.ts";
import type { ProviderCard } from "../../src/coalition/card.ts";
import {
  type Candidate,
  type ClearingView,
  choose,
  type Ineligible,
  ineligible,
  proposerOf,
  withoutEvidence,
} from "../../src/coalition/clearing.ts";
import type { Offer } from "../../src/coalition/offer.ts";
import { type ComputeRequest, requestId } from "../../src/coalition/request.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { providerActor, testOffer, testOrder } from "../support/actors.ts";
import { seedNamed, testCeremony } from "../support/coalition.ts";

const { coalition } = testCeremony();
const { request } = composeRequest(coalition, testOrder(), 10);
const id = requestId(request);
const actors = ["one", "two", "three", "four"].map((name) => providerActor(coalition, name));
const plain = actors[0]?.card({ tick: 10 }) as ProviderCard;

function view(change: Partial<ClearingView> = {}): ClearingView {
  return { nowTick: 10, cardTicks: 5, excluded: new Set(), evidence: withoutEvidence, ...change };
}

interface Case {
  readonly offer?: Parameters<typeof testOffer>[0];
  readonly card?: Partial<ProviderCard>;
  readonly request?: Partial<ComputeRequest>;
  readonly unaccounted?: number;
  readonly view?: Partial<ClearingView>;
}

function verdict(of: Case): Ineligible | undefined {
  const card = { ...plain, ...of.card };
  const candidate: Candidate = { card, unaccounted: of.unaccounted ?? 0 };
  return ineligible(candidate, testOffer(of.offer), { ...request, ...of.request }, view(of.view));
}

const telemetry = plain.telemetry;
const tdx = { ...request.accept, providerTee: "tdx" as const };
const cases: readonly [name: string, of: Case, verdict: Ineligible | undefined][] = [
  ["a fitting offer", {}, undefined],
  ["a card just young enough", { card: { tick: 5 } }, undefined],
  ["a card one tick too old", { card: { tick: 4 } }, "stale-card"],
  ["a draining provider", { card: { status: "draining" } }, "not-serving"],
  ["an unavailable provider", { card: { status: "unavailable" } }, "not-serving"],
  ["no free place", { offer: { free: 0 } }, "no-capacity"],
  ["the last free place", { offer: { free: 1 } }, undefined],
  [
    "the last free place, granted a moment ago",
    { offer: { free: 1 }, unaccounted: 1 },
    "no-capacity",
  ],
  [
    "free places but no more grants allowed",
    { card: { telemetry: { ...telemetry, grantsActive: 8 } } },
    "no-capacity",
  ],
  [
    "one grant left, granted a moment ago",
    { card: { telemetry: { ...telemetry, grantsActive: 7 } }, unaccounted: 1 },
    "no-capacity",
  ],
  [
    "a provider of an earlier attempt",
    { view: { excluded: new Set([toHex(plain.providerId)]) } },
    "excluded",
  ],
  ["evidence is wanted and there is none", { request: { accept: tdx } }, "evidence"],
  [
    "a release is wanted and nothing proves it",
    { request: { accept: { ...request.accept, releases: [seedNamed("r")] } } },
    "evidence",
  ],
  [
    "evidence satisfies",
    { request: { accept: tdx }, view: { evidence: () => undefined } },
    undefined,
  ],
  ["another region", { request: { regionClass: "asia" } }, "region"],
  ["the same region", { request: { regionClass: "europe" } }, undefined],
  [
    "too few cpus",
    { offer: { shape: { cpuMillicores: 249, ramMib: 1024, storageGib: 8 } } },
    "shape",
  ],
  [
    "too little memory",
    { offer: { shape: { cpuMillicores: 1000, ramMib: 255, storageGib: 8 } } },
    "shape",
  ],
  [
    "too little storage",
    { offer: { shape: { cpuMillicores: 1000, ramMib: 1024, storageGib: 0 } } },
    "shape",
  ],
  [
    "tdx is wanted, sev-snp is offered",
    { request: { tee: "tdx" }, offer: { tee: "sev-snp" } },
    "tee",
  ],
  ["any TEE is wanted, none is offered", { request: { tee: "any" } }, "tee"],
  [
    "any TEE is wanted, sev-snp is offered",
    { request: { tee: "any" }, offer: { tee: "sev-snp" } },
    undefined,
  ],
  ["none is wanted, tdx is offered", { offer: { tee: "tdx" } }, undefined],
  ["too long", { request: { durationMs: 12 * HOUR_MS } }, "duration"],
  ["too dear by one millionth", { request: { maxPricePerHourMicros: 49_999 } }, "price"],
  ["exactly affordable", { request: { maxPricePerHourMicros: 50_000 } }, undefined],
];

describe("an offer is eligible or not", () => {
  for (const [name, of, expected] of cases) {
    test(`${name}: ${expected ?? "eligible"}`, () => expect(verdict(of)).toBe(expected as never));
  }
});

/** Candidates with prices and free places as drawn; each card's offers differ in price. */
const market = fc.array(
  fc.record({
    actor: fc.nat(actors.length - 1),
    prices: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
    free: fc.integer({ min: 0, max: 2 }),
    unaccounted: fc.nat(1),
  }),
  { maxLength: 5 },
);

interface Drawn {
  readonly actor: number;
  readonly prices: readonly number[];
  readonly free: number;
  readonly unaccounted: number;
}

function candidates(drawn: readonly Drawn[]): Candidate[] {
  const byActor = new Map(drawn.map((one) => [one.actor, one]));
  return [...byActor.values()].map(({ actor, prices, free, unaccounted }) => ({
    card: {
      ...plain,
      providerId: actors[actor]?.id ?? plain.providerId,
      offers: prices.map((price, i) =>
        testOffer({ pricePerHourMicros: price * 10_000, free, region: `r${i}` }),
      ),
    },
    unaccounted,
  }));
}

function shown(choice: { card: ProviderCard; offer: Offer } | undefined): string {
  return choice === undefined
    ? "nobody"
    : toHex(choice.card.providerId) + toHex(choice.offer.offerId);
}

describe("the winner", () => {
  test("does not depend on the order of candidates or offers", () => {
    fc.assert(
      fc.property(
        market.chain((drawn) => {
          const all = candidates(drawn);
          return fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }));
        }),
        ([all, shuffled]) => {
          const turned = shuffled.map((one) => ({
            ...one,
            card: { ...one.card, offers: one.card.offers.toReversed() },
          }));
          const winner = shown(choose(all, request, id, view()));
          expect(shown(choose(turned, request, id, view()))).toBe(winner);
        },
      ),
      { seed: 11 },
    );
  });

  test("is eligible for every voter with the same view, and nobody eligible is cheaper", () => {
    fc.assert(
      fc.property(market, (drawn) => {
        const all = candidates(drawn);
        const winner = choose(all, request, id, view());
        const eligible = all.flatMap((candidate) =>
          candidate.card.offers
            .filter((offer) => ineligible(candidate, offer, request, view()) === undefined)
            .map((offer) => offer.pricePerHourMicros),
        );
        expect(winner?.offer.pricePerHourMicros).toBe(
          eligible.length === 0 ? (undefined as never) : Math.min(...eligible),
        );
      }),
      { seed: 12 },
    );
  });

  test("of equal prices is the one whose lot for this request is the lowest", () => {
    const all = actors.map(({ id: providerId }) => ({
      card: { ...plain, providerId },
      unaccounted: 0,
    }));
    const winners = new Set<string>();
    for (let i = 0; i < 40; i += 1) {
      const some = seedNamed(`request ${i}`);
      const lots = actors.map((actor) => taggedHash("compute-bridge/lot/v1", some, actor.id));
      const lowest = lots.indexOf(lots.toSorted(compare)[0] ?? some);
      const winner = toHex(choose(all, request, some, view())?.card.providerId ?? some);
      expect(winner).toBe(toHex(actors[lowest]?.id ?? some));
      winners.add(winner);
    }
    expect(winners.size).toBe(actors.length); // nobody is favoured
  });

  test("is nobody in an empty market", () => {
    expect(choose([], request, id, view())).toBeUndefined();
  });
});

describe("the proposer", () => {
  test("rotates with the attempt through different members", () => {
    for (const members of [3, 4, 7]) {
      const turns = [1, 2, 3].map((attempt) => proposerOf(id, attempt, members));
      expect(new Set(turns).size).toBe(3);
      expect(turns.every((turn) => turn >= 1 && turn <= members)).toBe(true);
    }
  });

  test("is spread over the members by the request's hash", () => {
    const counts = new Map<number, number>();
    for (let i = 0; i < 400; i += 1) {
      const first = proposerOf(seedNamed(`request ${i}`), 1, 4);
      counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    expect(Math.min(...[1, 2, 3, 4].map((member) => counts.get(member) ?? 0))).toBeGreaterThan(60);
  });
});

describe("a card without evidence", () => {
  test("satisfies only who asks for nothing", () => {
    const { accept } = request;
    expect(withoutEvidence(plain, accept)).toBeUndefined();
    for (const wanted of [
      { ...accept, providerTee: "tdx" as const },
      { ...accept, tcb: "out-of-date" as const },
      { ...accept, releases: [seedNamed("r")] },
    ]) {
      expect(withoutEvidence(plain, wanted)).toBe("no-evidence");
      const claimed = { ...plain, evidenceHash: seedNamed("evidence") };
      expect(withoutEvidence(claimed, wanted)).toBe("evidence-not-checked");
    }
  });
});
