/** Stage log: publish the oldest waiting entry of a grant's chain and wait until a quorum of members holds it. */
import { correlate } from "../base/log.ts";
import { logKey } from "../coalition/answers.ts";
import type { GrantEvent } from "../ledger/events.ts";
import type { GrantState } from "../ledger/state.ts";
import { hasLapsed, publishOnce, type StageContext } from "./context.ts";

export async function logStage(
  context: StageContext,
  state: GrantState,
  signal: AbortSignal,
): Promise<GrantEvent | undefined> {
  const entry = state.chain.outbox[0];
  if (entry === undefined) return undefined;
  if (hasLapsed(context, state.grant)) {
    context.log.error("log-lapsed", { grant: correlate(state.grantId), entry: entry.seq });
    return { type: "log-published", seq: entry.seq };
  }
  const make = () => ({ v: 1 as const, ...entry, endorsement: context.endorsement() });
  await publishOnce(context, context.records.logs, logKey(entry), make, signal);
  return signal.aborted ? undefined : { type: "log-published", seq: entry.seq };
}
