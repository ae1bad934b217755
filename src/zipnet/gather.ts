/**
 * A provider's side of unsealing: ask every member, keep the shares whose proofs hold, name the ones that do not,
 * and open the envelope once the threshold is reached. Members that are late or behind are asked again.
 */
import { encodeCanonical } from "../base/canonical.ts";
import { type Clock, jitter } from "../base/clock.ts";
import { BridgeError, type ErrorCode, hasCode } from "../base/errors.ts";
import { type KemKeyPair, open } from "../base/hpke.ts";
import { GATHER_RETRY_MS, GATHER_RETRY_MS_MAX, SHARE_MS } from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import type { Coalition, Member } from "../coalition/config.ts";
import type { ComputeGrant } from "../coalition/grant.ts";
import type { RequestMessage } from "../coalition/request.ts";
import type { Transport } from "../network/transport.ts";
import { envelopeLabel } from "./envelope.ts";
import { checkShare, combine } from "./tdh2.ts";
import { SHARE_PROTOCOL, shareContext } from "./unseal.ts";

export interface GatherOptions {
  readonly transport: Transport;
  readonly coalition: Coalition;
  readonly kem: KemKeyPair;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Members that answer with one of these will not answer otherwise later. */
const DEFINITE = [
  "bad-ciphertext",
  "attempt-passed",
  "not-the-provider",
  "expired",
  "not-eligible",
  "stale-epoch",
] as const;

/**
 * Returns the envelope's padded plaintext. Throws the members' definite refusal once too few are left to reach the
 * threshold, or `too-few-shares` when the signal aborts first.
 */
export async function gatherShares(
  options: GatherOptions,
  grant: ComputeGrant,
  message: RequestMessage,
  records: { readonly grant: Uint8Array; readonly admission: Uint8Array },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { coalition, log } = options;
  const threshold = coalition.file.committee.unsealThreshold;
  const label = envelopeLabel(coalition, message.request);
  const body = encodeCanonical(records);
  const shares = new Map<number, Uint8Array>();
  const out = new Map<number, ErrorCode>();

  return await new Promise((resolve, reject) => {
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    const settle = (): void => {
      if (done.signal.aborted) return;
      if (shares.size >= threshold) {
        done.abort();
        try {
          resolve(combine(new Map([...shares].slice(0, threshold)), message.sealed, label));
        } catch (error) {
          reject(error); // the proof binds the payload, but only opening tells whether it is one
        }
      } else if (coalition.members.length - out.size < threshold || signal.aborted) {
        done.abort();
        reject(refusal(shares.size, threshold, out));
      }
    };
    signal.addEventListener("abort", settle, { once: true });
    for (const member of coalition.members) void ask(member, either).then(settle, reject);
  });

  /** Returns when the member has given a good share, has definitely refused, or the wait is over. */
  async function ask(member: Member, until: AbortSignal): Promise<void> {
    let waitMs = GATHER_RETRY_MS;
    while (!until.aborted) {
      try {
        const sealed = await options.transport.request(member.peer, SHARE_PROTOCOL, body, {
          timeoutMs: SHARE_MS,
          signal: until,
        });
        if (shares.size >= threshold) return; // several answers came at once: no need to check this one
        const share = open(options.kem, sealed, shareContext(grant, member.index));
        const key = coalition.unsealShareKeys.get(member.index);
        if (key !== undefined && checkShare(key, message.sealed, share)) {
          shares.set(member.index, share);
        } else {
          log.warn("bad-share", { member: member.index });
          out.set(member.index, "bad-share");
        }
        return;
      } catch (error) {
        if (until.aborted) return;
        if (hasCode(error, "cannot-open")) out.set(member.index, "bad-share");
        else if (error instanceof BridgeError && hasCode(error, ...DEFINITE))
          out.set(member.index, error.code);
        if (out.has(member.index)) {
          log.warn("share-refused", { member: member.index, error });
          return;
        }
        log.debug("share-awaited", { member: member.index, error });
      }
      await options.clock.sleep(jitter(waitMs), until);
      waitMs = Math.min(waitMs * 2, GATHER_RETRY_MS_MAX);
    }
  }
}

function refusal(have: number, need: number, out: ReadonlyMap<number, ErrorCode>): BridgeError {
  const reasons = [...out].map(([index, code]) => `member ${index} ${code}`).join(", ");
  const codes = new Set(out.values());
  const only = codes.size === 1 ? [...codes][0] : undefined;
  return new BridgeError(
    only ?? "too-few-shares",
    `${have} of ${need} shares${reasons === "" ? ": the members do not answer" : ` (${reasons})`}`,
    { retry: only === undefined || only === "bad-share" ? "later" : "never" },
  );
}
