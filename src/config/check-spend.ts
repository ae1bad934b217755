/** Checks of money and capacity: whether the limits fit each other and what the backends sell. */
import { HOUR_MS } from "../base/limits.ts";
import type { CheckLine } from "./check.ts";
import { costMicros, formatMicros } from "./money.ts";
import type { BackendConfig, ProviderConfig } from "./schema.ts";

export function checkLimits(limits: ProviderConfig["limits"]): CheckLine[] {
  const { spendPerDayMicros, spendPerGrantMicros } = limits;
  const perDay = formatMicros(spendPerDayMicros);
  const perGrant = formatMicros(spendPerGrantMicros);
  const lines: CheckLine[] = [
    spendPerGrantMicros > spendPerDayMicros
      ? {
          status: "fail",
          path: "limits.spendPerGrant",
          message: `${perGrant} is more than spendPerDay ${perDay}, so it can never be spent`,
          fix: `lower spendPerGrant to ${perDay} or raise spendPerDay`,
        }
      : {
          status: "ok",
          path: "limits.spendPerGrant",
          message: `at most ${perGrant} for a grant and ${perDay} a day`,
        },
  ];
  if (limits.remainingLifeMinMs >= limits.durationMaxMs) {
    lines.push({
      status: "warn",
      path: "limits.remainingLifeMinMs",
      message: "is not below durationMaxMs: every grant is refused",
      fix: "lower it; one minute is the default",
    });
  }
  if (limits.killSwitch) {
    lines.push({
      status: "warn",
      path: "limits.killSwitch",
      message: "is on: no grant is admitted",
      fix: "set it to false to admit grants",
    });
  }
  return lines;
}

/** One line per backend for its price, then what does not fit the limits or each other. */
export function checkBackends({ backends, limits }: ProviderConfig): CheckLine[] {
  if (backends.length === 0) {
    const fix = "add a table such as [backends.local]";
    return [{ status: "fail", path: "backends", message: "no backend is configured", fix }];
  }
  return [
    ...backends.flatMap(checkBackend),
    checkWorstCase(backends, limits),
    ...checkOrder(backends),
  ];
}

function checkBackend(backend: BackendConfig): CheckLine[] {
  const { name, machinesMax, pricePerHourMicros, portRange } = backend;
  const path = `backends.${name}`;
  const price = formatMicros(pricePerHourMicros);
  const lines: CheckLine[] = [
    pricePerHourMicros > 0
      ? { status: "ok", path, message: `up to ${machinesMax} machines at ${price} an hour` }
      : {
          status: "warn",
          path: `${path}.pricePerHour`,
          message: "is 0: machines are given away, and no spend limit stops that",
          fix: "set a price",
        },
  ];
  if (portRange === undefined) return lines;
  const [lowest, highest] = portRange;
  const count = highest - lowest + 1;
  if (count < machinesMax) {
    lines.push({
      status: "fail",
      path: `${path}.portRange`,
      message: `has ${Math.max(0, count)} ports for ${machinesMax} machines`,
      fix: "write the lowest port first and one port for each machine, or lower machinesMax",
    });
  }
  return lines;
}

/** What one grant of full length can cost at most, against what one grant may cost. */
function checkWorstCase(
  backends: readonly BackendConfig[],
  limits: ProviderConfig["limits"],
): CheckLine {
  const path = "limits.durationMaxMs";
  const dearest = backends.reduce((a, b) => (b.pricePerHourMicros > a.pricePerHourMicros ? b : a));
  const cost = costMicros(dearest.pricePerHourMicros, limits.durationMaxMs);
  const hours = Number((limits.durationMaxMs / HOUR_MS).toFixed(2));
  const message = `a grant of ${hours} h on ${dearest.name} costs ${formatMicros(cost)}`;
  if (cost <= limits.spendPerGrantMicros) return { status: "ok", path, message };
  const affordableMs =
    (BigInt(limits.spendPerGrantMicros) * BigInt(HOUR_MS)) / BigInt(dearest.pricePerHourMicros);
  const perGrant = formatMicros(limits.spendPerGrantMicros);
  return {
    status: "warn",
    path,
    message: `${message}, more than spendPerGrant ${perGrant}: such grants will be refused`,
    fix: `lower durationMaxMs to ${affordableMs} or raise spendPerGrant to ${formatMicros(cost)}`,
  };
}

function checkOrder(backends: readonly BackendConfig[]): CheckLine[] {
  return backends.flatMap((backend, i) => {
    const before = backends[i - 1];
    if (before === undefined || before.priority !== backend.priority) return [];
    return [
      {
        status: "warn" as const,
        path: `backends.${backend.name}.priority`,
        message: `is ${backend.priority} like that of ${before.name}: their names decide who is asked first`,
        fix: "give each backend a priority of its own",
      },
    ];
  });
}
