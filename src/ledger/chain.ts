/** The log chain of one grant inside its state: entries are made here, published by an effect, dropped when held. */
import { LOG_ENTRIES_MAX, LOG_OUTBOX_MAX } from "../base/limits.ts";
import { CHAIN_START, type LogStatus, logHash } from "../coalition/log.ts";
import type { Chain, GrantState, PendingLog, UsageRecord } from "./state.ts";

export function startChain(nowMs: number): Chain {
  return { nextSeq: 0, head: CHAIN_START, outbox: [], lastMs: nowMs };
}

/**
 * Adds an entry. Usage is cumulative, so an interim entry is left out while too many wait: the next one says the
 * same and more. A final entry is never left out; the last number of a chain is kept for it.
 */
export function append<S extends GrantState>(
  state: S,
  status: LogStatus,
  usage: UsageRecord,
  { nowMs, nowTick }: { readonly nowMs: number; readonly nowTick: number },
): S {
  const { chain, grant, grantId } = state;
  const full = chain.outbox.length >= LOG_OUTBOX_MAX || chain.nextSeq >= LOG_ENTRIES_MAX - 1;
  if (status === "interim" && full) return state;
  const entry: PendingLog = {
    grantId,
    requestId: grant.requestId,
    attempt: grant.attempt,
    providerId: grant.providerId,
    seq: chain.nextSeq,
    previous: chain.head,
    status,
    window: { fromMs: Math.floor(state.seenMs), toMs: Math.floor(nowMs) },
    usage,
    tick: nowTick,
  };
  const next: Chain = {
    nextSeq: chain.nextSeq + 1,
    head: logHash({ v: 1, ...entry }),
    outbox: [...chain.outbox, entry],
    lastMs: nowMs,
  };
  return { ...state, chain: next };
}

/** The entry with this seq, and every earlier one, is held by the coalition. */
export function dropPublished<S extends GrantState>(state: S, seq: number): S {
  const outbox = state.chain.outbox.filter((entry) => entry.seq > seq);
  return outbox.length === state.chain.outbox.length
    ? state
    : { ...state, chain: { ...state.chain, outbox } };
}
