/** What a provider may say of itself: cards, markers, and the endorsement under both. */
import { describe, expect, test } from "bun:test";
import { toHex } from "../../src/base/bytes.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import {
  CARD_OFFERS_MAX,
  CARD_TICKS_AHEAD_MAX,
  ENDORSEMENT_MS_MAX,
  HOUR_MS,
  PROVIDERS_PER_OPERATOR_MAX,
  RECORD_BYTES_MAX,
} from "../../src/base/limits.ts";
import type { ProviderCard } from "../../src/coalition/card.ts";
import { checkEndorsed, type Endorsement, endorse } from "../../src/coalition/endorsement.ts";
import { encodeRecord, type SignedRecord, signRecord } from "../../src/network/record.ts";
import { type ProviderActor, providerActor, testOffer } from "../support/actors.ts";
import { alteredCoalition, keyNamed, seedNamed, testCeremony } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { FAKE_START_MS } from "../support/fake-clock.ts";
import { type RecordBook, recordBook, tickTo } from "./book.ts";

const ceremony = testCeremony();
const { coalition } = ceremony;
const alpha = providerActor(coalition, "alpha");
const NOW = 10;

function book(): RecordBook {
  const made = recordBook(coalition);
  tickTo(made, NOW);
  return made;
}

function cardRecord(
  change: Partial<ProviderCard> = {},
  actor: ProviderActor = alpha,
): SignedRecord {
  return actor.sign("card", actor.card({ tick: NOW, ...change }));
}

/** The endorsement with one term changed after the operator signed it. */
function tampered(change: Partial<Endorsement>): Endorsement {
  return { ...alpha.endorsement, ...change };
}

describe("a card", () => {
  const other = providerActor(coalition, "other");
  const cases: readonly [name: string, record: SignedRecord, code: ErrorCode | undefined][] = [
    ["of an endorsed provider is taken", cardRecord(), undefined],
    [
      "signed by a key that is not endorsed",
      signRecord(keyNamed("thief"), coalition.network, "card", alpha.card({ tick: NOW })),
      "not-endorsed",
    ],
    ["in another provider's name", cardRecord({ providerId: other.id }), "not-endorsed"],
    [
      "under another provider's endorsement",
      cardRecord({ endorsement: other.endorsement }),
      "not-endorsed",
    ],
    [
      "with a seq the operator did not sign",
      cardRecord({ endorsement: tampered({ seq: 9 }) }),
      "not-endorsed",
    ],
    [
      "with a life the operator did not sign",
      cardRecord({ endorsement: tampered({ notAfterMs: FAKE_START_MS + 99 * HOUR_MS }) }),
      "not-endorsed",
    ],
    [
      "with a KEM key the operator did not sign",
      cardRecord({ endorsement: tampered({ kemKey: seedNamed("x") }) }),
      "not-endorsed",
    ],
    ["under a provider name with a separator", namedCard("a|b"), "malformed"],
    ["endorsed for another network", foreignCard(), "not-endorsed"],
    ["whose endorsement has lapsed", lapsedCard(), "expired"],
    ["dated a little ahead is taken", cardRecord({ tick: NOW + CARD_TICKS_AHEAD_MAX }), undefined],
    ["dated too far ahead", cardRecord({ tick: NOW + CARD_TICKS_AHEAD_MAX + 1 }), "lacks-context"],
    [
      "with too many offers",
      cardRecord({ offers: Array(CARD_OFFERS_MAX + 1).fill(testOffer()) }),
      "wrong-schema",
    ],
    ["with an unknown key", cardRecord({ motto: "yes" } as never), "wrong-schema"],
    [
      "with a free count below zero",
      cardRecord({ offers: [{ ...testOffer(), free: -1 }] }),
      "wrong-schema",
    ],
  ];
  for (const [name, record, code] of cases) {
    test(`${name}${code === undefined ? "" : `: ${code}`}`, () =>
      expect(book().code(record)).toBe(code as never));
  }

  test("with as many offers as allowed fits a record", () => {
    const offers = Array.from({ length: CARD_OFFERS_MAX }, (_, i) =>
      testOffer({
        region: `a-region-with-a-rather-long-name-${i}`,
        imageKinds: ["none", "oci", "rootfs"],
        tee: "sev-snp",
      }),
    );
    const record = cardRecord({ offers, evidenceHash: seedNamed("evidence") });
    expect(encodeRecord(record).length).toBeLessThanOrEqual(RECORD_BYTES_MAX);
    expect(book().code(record)).toBeUndefined();
  });

  test("that is newer, by seq and then by counter, replaces the older one for good", () => {
    const at = book();
    const second = alpha.instance(2);
    const epochs: readonly [ProviderActor, number, ErrorCode | undefined][] = [
      [alpha, 5, undefined],
      [alpha, 4, "stale-epoch"],
      [alpha, 6, undefined],
      [second, 0, undefined],
      [alpha, 100, "stale-epoch"],
      [second, 1, undefined],
    ];
    for (const [actor, counter, code] of epochs) {
      expect(at.code(cardRecord({ counter }, actor))).toBe(code as never);
    }
    expect(at.records.cards.size).toBe(1);
  });

  test("of an operator who is not on the coalition's list is refused", () => {
    const closed = alteredCoalition(ceremony, (file) => ({
      ...file,
      compute: { ...file.compute, operators: [toHex(keyNamed("chosen operator").publicKey)] },
    }));
    const at = recordBook(closed);
    tickTo(at, NOW);
    expect(at.code(cardRecord())).toBe("not-endorsed");
    const chosen = providerActor(closed, "chosen", { operator: keyNamed("chosen operator") });
    expect(at.code(cardRecord({}, chosen))).toBeUndefined();
  });

  test("one operator holds a bounded number of providers", () => {
    const at = book();
    for (let i = 0; i < PROVIDERS_PER_OPERATOR_MAX; i += 1) {
      at.offer(cardRecord({}, providerActor(coalition, `provider-${i}`)));
    }
    expect(at.code(cardRecord({}, providerActor(coalition, "one too many")))).toBe("malformed");
    expect(at.code(cardRecord({}, providerActor(coalition, "one-too-many")))).toBe("over-quota");
    const neighbour = providerActor(coalition, "neighbour", { operator: keyNamed("another") });
    expect(at.code(cardRecord({}, neighbour))).toBeUndefined();
  });

  test("goes when it has not been renewed for the coalition's keep time", () => {
    const at = book();
    at.offer(cardRecord());
    tickTo(at, NOW + coalition.file.compute.keepTicks);
    at.store.sweep();
    expect(at.records.cards.size).toBe(1);
    tickTo(at, NOW + coalition.file.compute.keepTicks + 1);
    at.store.sweep();
    expect(at.records.cards.size).toBe(0);
  });
});

describe("a marker", () => {
  const second = alpha.instance(2);
  const third = alpha.instance(3);
  const mark = (actor: ProviderActor, reason: "stop" | "retire") =>
    actor.sign("marker", actor.marker(reason));

  test("of a stop ends the cards of this instance and older ones; a higher seq supersedes it", () => {
    const at = book();
    at.offer(mark(second, "stop"));
    expect(at.code(cardRecord({}, alpha))).toBe("stale-epoch");
    expect(at.code(cardRecord({}, second))).toBe("stale-epoch");
    expect(at.code(cardRecord({}, third))).toBeUndefined();
  });

  test("of a retirement ends all cards, and nothing supersedes it", () => {
    const at = book();
    at.offer(mark(alpha, "retire"));
    expect(at.code(cardRecord({}, alpha.instance(99)))).toBe("stale-epoch");
    expect(at.code(mark(alpha.instance(99), "stop"))).toBe("stale-epoch");
    tickTo(at, 1_000_000);
    at.store.sweep();
    expect(at.records.markers.size).toBe(1);
  });

  test("of a retirement wins over a stop with a higher seq, whichever comes first", () => {
    for (const order of [
      [mark(third, "stop"), mark(alpha, "retire")],
      [mark(alpha, "retire"), mark(third, "stop")],
    ]) {
      const at = book();
      for (const record of order) at.code(record);
      expect([...at.records.markers.values()].map(({ body }) => body.reason)).toEqual(["retire"]);
    }
  });

  test("is the provider's own word only", () => {
    const thief = keyNamed("thief");
    const at = book();
    expect(at.code(signRecord(thief, coalition.network, "marker", alpha.marker("retire")))).toBe(
      "not-endorsed",
    );
    const other = providerActor(coalition, "other");
    expect(at.code(other.sign("marker", other.marker("retire", { providerId: alpha.id })))).toBe(
      "not-endorsed",
    );
  });
});

describe("an endorsement", () => {
  const terms = {
    name: "alpha",
    bootKey: alpha.boot.publicKey,
    kemKey: alpha.kem.publicKey,
    seq: 1,
    notAfterMs: FAKE_START_MS + ENDORSEMENT_MS_MAX,
  };

  test("lasts a day at most", () => {
    const sign = (notAfterMs: number) =>
      endorse(alpha.operator, coalition.network, { ...terms, notAfterMs }, FAKE_START_MS);
    expect(codeThrownBy(() => sign(terms.notAfterMs))).toBeUndefined();
    expect(codeThrownBy(() => sign(terms.notAfterMs + 1))).toBe("bad-argument");
  });

  test("breaks with any term that is changed", () => {
    const good = endorse(alpha.operator, coalition.network, terms, FAKE_START_MS);
    const check = (one: Endorsement) =>
      codeThrownBy(() => checkEndorsed(one, coalition.network, one.bootKey, alpha.id));
    expect(check(good)).toBeUndefined();
    for (const change of [
      { operator: keyNamed("x").publicKey },
      { name: "beta" },
      { bootKey: keyNamed("x").publicKey },
      { kemKey: seedNamed("x") },
      { seq: 2 },
      { notAfterMs: 1 },
      { signature: new Uint8Array(64) },
    ]) {
      expect(check({ ...good, ...change })).toBe("not-endorsed");
    }
  });
});

function namedCard(name: string): SignedRecord {
  const { signature: _, operator: __, ...terms } = alpha.endorsement;
  const renamed = { ...terms, name };
  return cardRecord({
    endorsement: endorse(alpha.operator, coalition.network, renamed, FAKE_START_MS),
  });
}

/** Everything right, but the operator endorsed for another network. */
function foreignCard(): SignedRecord {
  const { signature: _, operator: __, ...terms } = alpha.endorsement;
  return cardRecord({
    endorsement: endorse(alpha.operator, seedNamed("elsewhere"), terms, FAKE_START_MS),
  });
}

function lapsedCard(): SignedRecord {
  const tickMs = FAKE_START_MS + 1000 * NOW;
  return cardRecord({}, alpha.instance(1, tickMs - 1));
}
