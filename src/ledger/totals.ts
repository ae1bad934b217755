/** Lifetime counters, as what each transition adds to them; kept in the journal, so a restart loses nothing. */
import type { GrantEvent } from "./events.ts";
import type { GrantState } from "./state.ts";

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
      add("spend:micros", after.spend.micros);
      break;
    case "running":
      add(`machines:${after.machine.backend}`);
      break;
    case "delivered":
      if (event.type === "posted") add("receipts");
      break;
    case "logged":
    case "closed": {
      const final = after.chain.outbox.at(-1);
      if (after.state !== "logged" || final === undefined) break;
      add(`grants:${final.status}`);
      add("usage:cpuCoreMs", final.usage.cpuCoreMs);
      add("usage:ramMibSeconds", final.usage.ramMibSeconds);
      add("usage:netBytes", final.usage.netBytes ?? 0);
      add("spend:micros", after.spend.micros);
      break;
    }
    default:
      break;
  }
  return totals;
}
