/**
 * Where a request stands, from the records alone: which attempt is open, or what settled it. Pure, so a member, a
 * requester and the simulator reach the same answer from the same records.
 */
import { toHex } from "../base/bytes.ts";
import { ATTEMPTS_MAX } from "../base/limits.ts";
import { isRegrantable, type RefusalCode } from "./grant.ts";
import { attemptKey } from "./ids.ts";
import type { CoalitionRecords } from "./records.ts";

/** What is known of one attempt, with the ticks at which this node learned it. */
export interface AttemptView {
  readonly grantTick: number;
  readonly admitted: boolean;
  readonly refusal: { readonly code: RefusalCode; readonly tick: number } | undefined;
}

export type Standing =
  /** A grant may be made for `attempt`. */
  | { readonly state: "open"; readonly attempt: number }
  /** A grant was made; its provider still has time to answer. */
  | { readonly state: "granted"; readonly attempt: number }
  /** The provider took it. */
  | { readonly state: "admitted"; readonly attempt: number }
  /** Refused with a code that ends the request. */
  | { readonly state: "refused"; readonly attempt: number; readonly code: RefusalCode }
  | { readonly state: "exhausted" };

/**
 * `attempts[i]` is attempt i + 1, undefined while no grant for it is known. An attempt passes after `attemptTicks`
 * without a grant, after as long without an answer to the grant, or at once on a refusal that allows another try.
 */
export function standing(
  attempts: readonly (AttemptView | undefined)[],
  seenTick: number,
  nowTick: number,
  attemptTicks: number,
): Standing {
  let latest = attempts.length;
  while (latest > 0 && attempts[latest - 1] === undefined) latest -= 1;
  const view = attempts[latest - 1];
  let startTick = seenTick;
  if (view !== undefined) {
    if (view.refusal !== undefined) {
      if (!isRegrantable(view.refusal.code)) {
        return { state: "refused", attempt: latest, code: view.refusal.code };
      }
      startTick = view.refusal.tick;
    } else if (view.admitted) {
      return { state: "admitted", attempt: latest };
    } else {
      startTick = view.grantTick + attemptTicks;
      if (nowTick < startTick) return { state: "granted", attempt: latest };
    }
  }
  const attempt = latest + 1 + Math.max(0, Math.floor((nowTick - startTick) / attemptTicks));
  return attempt > ATTEMPTS_MAX ? { state: "exhausted" } : { state: "open", attempt };
}

/** Collects the views of one request from the collections. */
export function attemptViews(
  records: CoalitionRecords,
  requestId: Uint8Array,
): (AttemptView | undefined)[] {
  return Array.from({ length: ATTEMPTS_MAX }, (_, i) => {
    const key = attemptKey(requestId, i + 1);
    const grant = records.grants.get(key);
    if (grant === undefined) return undefined;
    const refusal = records.refusals.get(key);
    return {
      grantTick: grant.arrivalTick,
      admitted: records.admissions.get(key) !== undefined,
      refusal: refusal && { code: refusal.body.code, tick: refusal.arrivalTick },
    };
  });
}

/** Providers (hex) that hold a grant of any attempt: a later attempt goes to somebody else. */
export function excludedProviders(records: CoalitionRecords, requestId: Uint8Array): Set<string> {
  const excluded = new Set<string>();
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
    const grant = records.grants.get(attemptKey(requestId, attempt))?.body;
    if (grant !== undefined) excluded.add(toHex(grant.providerId));
  }
  return excluded;
}
