/** How grants end, as the coalition's records tell: every different last word a provider ever signed is kept. */
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { ATTEMPTS_MAX } from "../../src/base/limits.ts";
import { type ComputeGrant, grantId } from "../../src/coalition/grant.ts";
import { attemptKey } from "../../src/coalition/ids.ts";
import { type ComputeLog, isFinal, logHash } from "../../src/coalition/log.ts";
import type { CoalitionRecords } from "../../src/coalition/records.ts";

export interface Endings {
  /** The request's grants, first attempt first. The request id is in hex. */
  grants(requestId: string): ComputeGrant[];
  /** Every different ending of the grant (id in hex) that was seen: one, when all is well. */
  of(grant: string): string[];
}

export function watchEndings(records: CoalitionRecords): Endings {
  const seen = new Map<string, Map<string, string>>();
  const add = (grant: Uint8Array, word: string, text: string): void => {
    const words = seen.get(toHex(grant)) ?? new Map<string, string>();
    words.set(word, text);
    seen.set(toHex(grant), words);
  };
  const addLog = (log: ComputeLog): void => {
    if (isFinal(log)) add(log.grantId, toHex(logHash(log)), log.status);
  };
  // A refusal that is signed again under a newer endorsement says the same, as long as its code stands.
  records.refusals.subscribe(({ body }) => add(body.grantId, body.code, `refused ${body.code}`));
  records.logs.subscribe(({ body }) => addLog(body));
  return {
    grants: (requestId) =>
      Array.from({ length: ATTEMPTS_MAX }, (_, at) =>
        records.grants.get(attemptKey(fromHex(requestId), at + 1)),
      ).flatMap((entry) => (entry === undefined ? [] : [entry.body])),
    of: (grant) => [...(seen.get(grant)?.values() ?? [])],
  };
}

export function idOf(grant: ComputeGrant): string {
  return toHex(grantId(grant));
}
