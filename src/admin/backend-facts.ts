/** The fleet as totals per backend. Error texts stay behind: they may name a machine, a host or an account. */
import type { Clock } from "../base/clock.ts";
import type { ErrorCode } from "../base/errors.ts";
import type { Blocked } from "../fleet/breaker.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { GrantState, Running, Terminating } from "../ledger/state.ts";
import { ALL_ERROR_CODES, type BackendFacts, type BlockedFacts } from "./facts.ts";

export function backendFacts(
  fleet: Fleet,
  names: readonly string[],
  live: readonly GrantState[],
  clock: Clock,
): readonly BackendFacts[] {
  const health = new Map(fleet.health().map((one) => [one.name, one]));
  const offers = fleet.offers();
  const blocked = fleet.blocked();
  return names.map((name) => {
    const own = offers.filter(({ backend }) => backend === name);
    const found = health.get(name);
    return {
      name,
      ok: found?.ok,
      lastOkMs: found?.lastOkMs,
      error: found?.error === undefined ? undefined : errorCode(found.error),
      offers: own.length,
      free: own.reduce((sum, { offer }) => sum + offer.free, 0),
      machines: countMachines(name, live),
      blocked: blockedFacts(name, blocked, clock.monotonicMs()),
    };
  });
}

/** A machine may exist and has been seen, or is being ended. */
export function hasMachine(state: GrantState): state is Running | Terminating {
  return state.state === "running" || state.state === "delivered" || state.state === "terminating";
}

function countMachines(name: string, live: readonly GrantState[]): BackendFacts["machines"] {
  const machines = { starting: 0, running: 0, ending: 0 };
  for (const state of live) {
    if (!("placements" in state)) continue;
    const placed = state.placements[state.try]?.backend === name;
    if (state.state === "provisioning" && placed) machines.starting += 1;
    else if (state.state === "terminating") {
      const found = state.found.filter(({ backend }) => backend === name).length;
      machines.ending += state.found.length > 0 ? found : placed ? 1 : 0;
    } else if ("machine" in state && state.machine.backend === name) machines.running += 1;
  }
  return machines;
}

/** A scope reads `backend`, `backend/region` or `backend/region/zone/cpu/ram`; the shape is left out. */
function blockedFacts(name: string, blocked: readonly Blocked[], nowMs: number): BlockedFacts[] {
  const widest = new Map<string, BlockedFacts>();
  for (const { scope, reason, untilMs } of blocked) {
    const [backend, region = "", zone = ""] = scope.split("/");
    if (backend !== name) continue;
    const width = region === "" ? "backend" : zone === "" ? "region" : "zone";
    const code = errorCode(reason.split(":", 1)[0] ?? "");
    const key = `${width}/${region}/${zone}/${code}`;
    const clearsInMs = Math.max(0, untilMs - nowMs, widest.get(key)?.clearsInMs ?? 0);
    widest.set(key, { width, region, zone, code, clearsInMs });
  }
  return [...widest.values()];
}

function errorCode(text: string): ErrorCode {
  return ALL_ERROR_CODES.find((code) => code === text) ?? "invariant";
}
