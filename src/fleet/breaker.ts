/**
 * Breakers withdraw what just failed from the card, at the width of the failure: a stock-out blocks one kind of machine
 * in one zone, a quota one region, a refused login the whole backend. They close again by themselves.
 */
import type { Clock } from "../base/clock.ts";
import { BREAKER_AUTH_MS, BREAKER_CAPACITY_MS, BREAKER_QUOTA_MS } from "../base/limits.ts";

export interface Place {
  readonly backend: string;
  readonly region: string;
  readonly zone: string;
  readonly shape: { readonly cpuMillicores: number; readonly ramMib: number };
}

export interface Blocked {
  readonly scope: string;
  readonly reason: string;
  readonly untilMs: number;
}

export interface Breaker {
  /** `capacity`, `quota`, `auth` and `bug` open a breaker; other codes do not. */
  trip(place: Place, code: string, reason: string): void;
  isBlocked(place: Place): boolean;
  blocked(): readonly Blocked[];
}

export function createBreaker(clock: Clock): Breaker {
  const open = new Map<string, Blocked>();
  const scopes = (place: Place): string[] => {
    const { backend, region, zone, shape } = place;
    return [
      backend,
      `${backend}/${region}`,
      `${backend}/${region}/${zone}/${shape.cpuMillicores}/${shape.ramMib}`,
    ];
  };
  const current = (): Map<string, Blocked> => {
    for (const [scope, { untilMs }] of open) if (untilMs <= clock.monotonicMs()) open.delete(scope);
    return open;
  };
  return {
    trip(place, code, reason) {
      const [backend = "", region = "", zone = ""] = scopes(place);
      const rule: Record<string, readonly [string, number]> = {
        capacity: [zone, BREAKER_CAPACITY_MS],
        quota: [region, BREAKER_QUOTA_MS],
        auth: [backend, BREAKER_AUTH_MS],
        bug: [backend, BREAKER_AUTH_MS],
      };
      const found = rule[code];
      if (found === undefined) return;
      const [scope, ms] = found;
      open.set(scope, { scope, reason: `${code}: ${reason}`, untilMs: clock.monotonicMs() + ms });
    },
    isBlocked: (place) => scopes(place).some((scope) => current().has(scope)),
    blocked: () => [...current().values()],
  };
}
