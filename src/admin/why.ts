/** Why grants are turned away: codes and counts, with what each code means for the operator. */
import { BLOCKED_SHOWN_MAX } from "../base/limits.ts";
import { REFUSAL_CODES, type RefusalCode } from "../coalition/grant.ts";
import type { Facts, WhyFacts } from "./facts.ts";
import { readinessOf } from "./readiness.ts";
import { minuteOf } from "./ring.ts";
import { type Why, whyCodec } from "./schemas.ts";
import { shownBlocked } from "./snapshot.ts";

const MEANINGS: Record<RefusalCode, string> = {
  capacity: "no backend could start such a machine; see what was left out of the routes",
  quota: "a cloud's quota is used up; ask the cloud for more or lower limits.grantsMax",
  draining: "the provider was draining, or the operator ended the grant",
  busy: "limits.grantsMax or limits.spendPerDay was reached",
  unavailable: "too few members answered, a machine failed, or the kill switch is on",
  expired: "the grant's time was over before its machine was up",
  "too-short": "less life was left than limits.remainingLifeMinMs",
  "price-not-ours": "the grant cites a price that is not on the card",
  "offer-not-ours": "the grant cites an offer that was not on a recent card",
  "above-cap": "its worst case was above limits.spendPerGrant",
  "classes-exceeded": "the workload asked for more than its public request said",
  "manifest-mismatch": "the envelope's manifest was not the one that was granted",
  "image-mismatch": "the envelope's image was not the one that was granted",
  "image-unusable": "the image could not be fetched, or its digest was wrong",
  "envelope-unreadable": "the envelope could not be opened or read",
  superseded: "another attempt or committee epoch has taken its place",
};

/** Throws `wrong-schema`, a bug of ours, rather than show what has no place here. */
export function whyOf(facts: Facts, why: WhyFacts): Why {
  return whyCodec.check({
    v: 1,
    sinceMs: minuteOf(why.sinceMs),
    failing: readinessOf(facts).checks.filter(({ state }) => state === "failing"),
    refusals: REFUSAL_CODES.flatMap((code) => {
      const total = facts.totals.get(`refusals:${code}`) ?? 0;
      const { count = 0, lastMs } = why.refusals.get(code) ?? {};
      if (total === 0 && count === 0) return [];
      const meaning = MEANINGS[code];
      return [
        { code, count, total, lastMs: lastMs === undefined ? null : minuteOf(lastMs), meaning },
      ];
    }).toSorted((a, b) => b.count - a.count || b.total - a.total),
    leftOut: why.leftOut,
    lastRoute:
      why.lastRoute === undefined
        ? null
        : {
            minuteMs: minuteOf(why.lastRoute.atMs),
            placements: why.lastRoute.placements,
            leftOut: why.lastRoute.leftOut,
          },
    createFailures: why.createFailures,
    blocked: facts.backends.flatMap(({ name, blocked }) =>
      blocked.slice(0, BLOCKED_SHOWN_MAX).map((one) => ({ backend: name, ...shownBlocked(one) })),
    ),
  });
}
