/** What a provider has said about one grant: its log chain, and whether it is done with the grant. */
import { toHex } from "../base/bytes.ts";
import { LOG_ENTRIES_MAX } from "../base/limits.ts";
import type { Collection } from "../network/collection.ts";
import { type ComputeGrant, grantId, type Refusal } from "./grant.ts";
import { attemptKey } from "./ids.ts";
import { type ComputeLog, isFinal } from "./log.ts";

/** The whole chain of one grant, oldest first; nothing follows a final entry. */
export function logChain(logs: Collection<ComputeLog>, grant: Uint8Array): ComputeLog[] {
  const chain: ComputeLog[] = [];
  for (let seq = 0; seq < LOG_ENTRIES_MAX; seq += 1) {
    const entry = logs.get(`${toHex(grant)}:${seq}`);
    if (entry === undefined) break;
    chain.push(entry.body);
    if (isFinal(entry.body)) break;
  }
  return chain;
}

export function logKey(log: Pick<ComputeLog, "grantId" | "seq">): string {
  return `${toHex(log.grantId)}:${log.seq}`;
}

export interface Answers {
  readonly refusals: Collection<Refusal>;
  readonly logs: Collection<ComputeLog>;
}

/** The granted provider has signed that it is done: its refusal, or a final log. Nothing more is spent on the grant. */
export function isAnswered({ refusals, logs }: Answers, grant: ComputeGrant): boolean {
  if (refusals.get(attemptKey(grant.requestId, grant.attempt)) !== undefined) return true;
  const last = logChain(logs, grantId(grant)).at(-1);
  return last !== undefined && isFinal(last);
}
