/** What a member counts as free: cards less the grants they cannot know of yet, always derived from records. */
import { describe, expect, test } from "bun:test";
import { RECENT_CARDS_MAX } from "../../src/base/limits.ts";
import { cardHash } from "../../src/coalition/card.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import { type Market, openMarket } from "../../src/coalition/market.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { grantOf, providerActor, testOrder } from "../support/actors.ts";
import { seedNamed, signGrant, testCeremony } from "../support/coalition.ts";
import { type RecordBook, recordBook, tickTo } from "./book.ts";

const ceremony = testCeremony();
const { coalition } = ceremony;
const alpha = providerActor(coalition, "alpha");

interface Stall {
  readonly book: RecordBook;
  readonly market: Market;
  card(counter: number): void;
  grant(change?: Partial<ComputeGrant>): Promise<ComputeGrant>;
  /** Grants the current card cannot know of; undefined without a card. */
  unaccounted(): number | undefined;
}

function stall(): Stall {
  const book = recordBook(coalition);
  tickTo(book, 10);
  const market = openMarket(book.records);
  return {
    book,
    market,
    card: (counter) => book.offer(alpha.sign("card", alpha.card({ tick: 10, counter }))),
    async grant(change = {}) {
      const { request } = composeRequest(coalition, testOrder(), 10);
      const grant = grantOf(coalition, request, alpha.card(), change);
      book.offer(await signGrant(ceremony, grant));
      return grant;
    },
    unaccounted: () => [...market.candidates()][0]?.unaccounted,
  };
}

describe("a grant counts against its provider's card", () => {
  test("until it is admitted and a newer card is out", async () => {
    const { book, card, grant, unaccounted } = stall();
    card(1);
    const made = await grant();
    expect(unaccounted()).toBe(1);
    card(2); // the provider had not seen the grant when it signed this card
    expect(unaccounted()).toBe(1);
    book.offer(alpha.sign("admission", alpha.admission(made)));
    expect(unaccounted()).toBe(0);
  });

  test("admitted, but younger than the card", async () => {
    const { book, card, grant, unaccounted } = stall();
    card(1);
    const made = await grant();
    book.offer(alpha.sign("admission", alpha.admission(made)));
    expect(unaccounted()).toBe(1);
    card(2);
    expect(unaccounted()).toBe(0);
  });

  test("not once it is refused", async () => {
    const { book, card, grant, unaccounted } = stall();
    card(1);
    const [one] = [await grant(), await grant()];
    expect(unaccounted()).toBe(2);
    book.offer(alpha.sign("refusal", alpha.refusal(one, "busy")));
    expect(unaccounted()).toBe(1);
  });

  test("not once its log is closed, but still while it is open", async () => {
    const { book, card, grant, unaccounted } = stall();
    card(1);
    const made = await grant();
    const interim = alpha.log(made, "interim");
    book.offer(alpha.sign("log", interim));
    expect(unaccounted()).toBe(1);
    book.offer(alpha.sign("log", alpha.log(made, "completed", interim)));
    expect(unaccounted()).toBe(0);
  });

  test("not once it has lapsed", async () => {
    const { book, market, card, grant, unaccounted } = stall();
    card(1);
    await grant({ validToTick: 20 });
    tickTo(book, 20);
    market.sweep();
    expect(unaccounted()).toBe(1);
    tickTo(book, 21);
    market.sweep();
    expect(unaccounted()).toBe(0);
  });

  test("and not against another provider's", async () => {
    const { book, market, card, grant } = stall();
    const beta = providerActor(coalition, "beta");
    card(1);
    book.offer(beta.sign("card", beta.card({ tick: 10 })));
    await grant();
    const counts = [...market.candidates()].map(({ card: of, unaccounted }) => [
      of.endorsement.name,
      unaccounted,
    ]);
    expect(Object.fromEntries(counts)).toEqual({ alpha: 1, beta: 0 });
  });

  test("also when it was there before the market was opened", async () => {
    const { book, card, grant } = stall();
    card(1);
    await grant();
    expect([...openMarket(book.records).candidates()][0]?.unaccounted).toBe(1);
  });
});

describe("a proposal may name", () => {
  const named = (at: Stall, counter: number): boolean => {
    const { request } = composeRequest(coalition, testOrder(), 10);
    const card = alpha.card({ tick: 10, counter });
    return at.market.candidateFor(grantOf(coalition, request, card)) !== undefined;
  };

  test("the current card or one of the last few, and is judged by the current one", () => {
    const at = stall();
    for (let counter = 1; counter <= RECENT_CARDS_MAX + 2; counter += 1) at.card(counter);
    expect(named(at, RECENT_CARDS_MAX + 2)).toBe(true);
    expect(named(at, 3)).toBe(true);
    expect(named(at, 2)).toBe(false);
    expect(named(at, 999)).toBe(false);
    const { request } = composeRequest(coalition, testOrder(), 10);
    const old = grantOf(coalition, request, alpha.card({ tick: 10, counter: 3 }));
    expect(at.market.candidateFor(old)?.card.counter).toBe(RECENT_CARDS_MAX + 2);
  });

  test("no card of a provider that has none", () => {
    const at = stall();
    expect(named(at, 1)).toBe(false);
    at.card(1);
    const stranger = { providerId: seedNamed("x"), cardHash: cardHash(alpha.card()) };
    const { request } = composeRequest(coalition, testOrder(), 10);
    expect(
      at.market.candidateFor(grantOf(coalition, request, alpha.card(), stranger)),
    ).toBeUndefined();
  });
});
