/**
 * What is to be done for a grant, read off its state: the effects are level-triggered, so after a crash the same
 * list comes out of the journal again. Every handler is idempotent and answers with one event.
 */
import { unreachable } from "../base/assert.ts";
import type { GrantState } from "./state.ts";

export const EFFECT_KINDS = [
  "open", // publish the admission, gather shares, open and cross-check the envelope
  "route", // rank the fleet's placements
  "inspect", // after a lost journal: look for the machine, the receipt and the log chain
  "create", // start the machine of the current try
  "deliver", // post the receipt
  "repost", // post it again until it is acknowledged
  "watch", // until the machine ends
  "terminate", // until it is proven gone
  "log", // publish the oldest waiting log entry
  "refuse", // publish the refusal, open and sealed
] as const;
export type EffectKind = (typeof EFFECT_KINDS)[number];

export interface Effect {
  /** Names the effect: the same id is never run twice at once. */
  readonly id: string;
  readonly kind: EffectKind;
  readonly key: string;
}

export function effectsOf(state: GrantState): Effect[] {
  const { key, chain } = state;
  const effect = (kind: EffectKind, n = 0): Effect => ({ id: `${key}/${kind}/${n}`, kind, key });
  const first = chain.outbox[0];
  const log = first === undefined ? [] : [effect("log", first.seq)];
  switch (state.state) {
    case "received":
      return [effect("open")];
    case "resolved":
      return [effect(state.recovering ? "inspect" : "route")];
    case "provisioning":
      return [effect("create", state.try)];
    case "running":
      return [effect("deliver"), effect("watch"), ...log];
    case "delivered":
      return [effect("watch"), ...(state.acked ? [] : [effect("repost")]), ...log];
    case "terminating":
      return [effect("terminate", state.try), ...log];
    case "logged":
    case "closed":
      return log;
    case "refused":
    case "failed":
      return [...(state.announced ? [] : [effect("refuse")]), ...log];
    default:
      return unreachable(state);
  }
}
