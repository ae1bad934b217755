/** Ranking: a filter is a filter, order is the operator's, and everything left out is left out for a reason. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { TEE_KINDS, TEE_WANTS, teeSatisfies } from "../../src/coalition/classes.ts";
import type { Backend } from "../../src/fleet/backend.ts";
import { type RoutedOffer, type RouteRequest, route } from "../../src/fleet/route.ts";
import { backendOf, needOf, routedOffer, wanted } from "./scripted.ts";

const NAMES = ["a", "b", "c"];
const backends = (...changed: readonly Backend[]): Map<string, Backend> =>
  new Map([...NAMES.map((name) => backendOf(name)), ...changed].map((one) => [one.name, one]));
const nothingBlocked = (): boolean => false;

const places = (offers: readonly RoutedOffer[], request = wanted()): string[] =>
  route(offers, backends(), nothingBlocked, request).placements.map(
    ({ backend, offer }) => `${backend} ${offer.region} ${offer.pricePerHourMicros}`,
  );

describe("order", () => {
  test("the operator's priority comes before price", () => {
    const offers = [
      routedOffer("a", { pricePerHourMicros: 10 }, 2),
      routedOffer("b", { pricePerHourMicros: 900 }, 1),
    ];
    expect(places(offers)).toEqual(["b here-1 900", "a here-1 10"]);
  });

  test("then the requester's region, then the price", () => {
    const offers = [
      routedOffer("a", { region: "r1", pricePerHourMicros: 10 }),
      routedOffer("b", { region: "r2", pricePerHourMicros: 900 }),
      routedOffer("c", { region: "r1", pricePerHourMicros: 5 }),
    ];
    const hinted = wanted({ need: needOf({ regionHint: "r2" }) });
    expect(places(offers, hinted)).toEqual(["b r2 900", "c r1 5", "a r1 10"]);
    expect(places(offers)).toEqual(["c r1 5", "a r1 10", "b r2 900"]);
  });

  test("equal offers keep the order in which the backends stand", () => {
    expect(places([routedOffer("b"), routedOffer("a")])).toEqual([
      "b here-1 1000",
      "a here-1 1000",
    ]);
  });
});

describe("left out, with the reason", () => {
  const cases: readonly (readonly [string, RoutedOffer, Partial<RouteRequest>, RegExp])[] = [
    [
      "a TEE it has not",
      routedOffer("a", { tee: "sev-snp" }),
      { tee: "tdx" },
      /^tee: sev-snp is not tdx$/,
    ],
    ["no TEE at all", routedOffer("a"), { tee: "any" }, /^tee: none is not any$/],
    [
      "a manifest that needs more than the request said",
      routedOffer("a", { tee: "sev-snp" }),
      { tee: "any", need: needOf({ manifest: { ...needOf().manifest, tee: "tdx" } }) },
      /^tee: sev-snp is not tdx$/,
    ],
    [
      "another part of the world",
      routedOffer("a"),
      { regionClass: "asia" },
      /^region: not in asia$/,
    ],
    ["a price above the granted", routedOffer("a", { pricePerHourMicros: 1001 }), {}, /^price:/],
    ["none free", routedOffer("a", { free: 0 }), {}, /^capacity: none free$/],
    ["a backend that is gone from the configuration", routedOffer("z"), {}, /not configured/],
  ];
  for (const [what, offer, request, reason] of cases) {
    test(what, () => {
      const { placements, leftOut } = route([offer], backends(), nothingBlocked, wanted(request));
      expect(placements).toEqual([]);
      expect(leftOut).toMatchObject([{ backend: offer.backend, region: offer.offer.region }]);
      expect(leftOut[0]?.reason).toMatch(reason);
    });
  }

  test("what a breaker holds back", () => {
    const { placements, leftOut } = route(
      [routedOffer("a"), routedOffer("b")],
      backends(),
      ({ backend }) => backend === "a",
      wanted(),
    );
    expect(placements.map(({ backend }) => backend)).toEqual(["b"]);
    expect(leftOut[0]?.reason).toBe("capacity: failed a moment ago");
  });

  test("what the backend itself refuses, in its own words", () => {
    const picky = backendOf("a", {
      canSatisfy: () => ({ code: "network-policy", reason: "cannot hold an allowlist" }),
    });
    const { leftOut } = route([routedOffer("a")], backends(picky), nothingBlocked, wanted());
    expect(leftOut[0]?.reason).toBe("network-policy: cannot hold an allowlist");
  });
});

test("whatever is offered: TDX required never reaches a place without TDX, and nobody is forgotten", () => {
  const anyOffer = fc
    .record({
      backend: fc.constantFrom(...NAMES, "gone"),
      tee: fc.constantFrom(...TEE_KINDS),
      priority: fc.integer({ min: 0, max: 3 }),
      pricePerHourMicros: fc.integer({ min: 0, max: 1500 }),
      free: fc.integer({ min: 0, max: 2 }),
      region: fc.constantFrom("r1", "r2"),
      regionClass: fc.constantFrom("any" as const, "europe" as const, "asia" as const),
    })
    .map(({ backend, priority, ...changes }) => routedOffer(backend, changes, priority));
  fc.assert(
    fc.property(
      fc.array(anyOffer, { maxLength: 12 }),
      fc.constantFrom(...TEE_WANTS),
      fc.constantFrom(...TEE_WANTS),
      fc.constantFrom("any" as const, "europe" as const),
      (offers, tee, manifestTee, regionClass) => {
        const need = needOf({ manifest: { ...needOf().manifest, tee: manifestTee } });
        const request = wanted({ tee, need, regionClass });
        const { placements, leftOut } = route(offers, backends(), nothingBlocked, request);
        expect(placements.length + leftOut.length).toBe(offers.length);
        for (const { offer } of placements) {
          expect(teeSatisfies(offer.tee, tee) && teeSatisfies(offer.tee, manifestTee)).toBe(true);
          if (tee === "tdx" || manifestTee === "tdx") expect(offer.tee).toBe("tdx");
          expect(offer.pricePerHourMicros).toBeLessThanOrEqual(request.maxPricePerHourMicros);
          if (regionClass !== "any") expect(offer.regionClass).toBe(regionClass);
        }
        const priorities = placements.map(({ priority }) => priority);
        expect(priorities).toEqual(priorities.toSorted((a, b) => a - b));
      },
    ),
    { numRuns: 500 },
  );
});
