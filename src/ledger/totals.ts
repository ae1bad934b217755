/** Lifetime counters, as what each transition adds to them; kept in the journal, so a restart loses nothing. */
import type { GrantEvent } from "./events.ts";
import type { GrantState, UsageRecord } from "./state.ts";

/** Names are `thing` or `thing:label`, labels from closed lists. */
export function totalsOf(
  before: GrantState | undefined,
  after: GrantState,
  event: GrantEvent,
): Map<string, number> {
  const totals = new Map<string, number>();
  const add = (name: string, amount = 1): void =>
    void totals.set(name, (totals.get(name) ?? 0) + amount);
  if (before === undefined) {
    if (after.state === "received") add(after.recovering ? "grants:recovered" : "grants:admitted");
    add("grants:seen");
  }
  if (before?.state === after.state) return totals;
  switch (after.state) {
    case "refused":
    case "failed":
      add(`grants:${after.state}`);
      add(`refusals:${after.code}`);
      addSpend(add, before, after.spend.micros);
      break;
    case "running":
      add(`machines:${after.machine.backend}`);
      break;
    case "delivered":
      if (event.type === "posted" || event.type === "acked") add("receipts");
      break;
    case "logged":
    case "closed": {
      const final = after.chain.outbox.at(-1);
      if (after.state !== "logged" || final === undefined) break;
      add(`grants:${final.status}`);
      add("usage:cpuCoreMs", final.usage.cpuCoreMs);
      add("usage:ramMibSeconds", final.usage.ramMibSeconds);
      add("usage:netBytes", final.usage.netBytes ?? 0);
      addSpend(add, before, after.spend.micros);
      addUsage(add, before, final.usage);
      break;
    }
    default:
      break;
  }
  return totals;
}

type Add = (name: string, amount?: number) => void;

function addSpend(add: Add, before: GrantState | undefined, micros: number): void {
  const backend = backendOf(before);
  add("spend:micros", micros);
  if (backend !== undefined) add(`spendMicros:${backend}`, micros);
}

/** By backend. What nobody measured is counted as grants, because a zero would read as no usage. */
function addUsage(add: Add, before: GrantState | undefined, usage: UsageRecord): void {
  const backend = backendOf(before);
  if (backend === undefined) return;
  add(`cpuCoreMs:${backend}`, usage.cpuCoreMs);
  add(`ramMibSeconds:${backend}`, usage.ramMibSeconds);
  if (usage.netBytes === null) add(`netUnknown:${backend}`);
  else add(`netBytes:${backend}`, usage.netBytes);
  if (usage.basis === "unknown") add(`usageUnknown:${backend}`);
}

/** Where the machine ran that has just been proven gone. */
function backendOf(before: GrantState | undefined): string | undefined {
  return before?.state === "terminating" ? before.placements[before.try]?.backend : undefined;
}
