/**
 * How long the provider waited for its members: from asking for shares, or putting a receipt, to the answer that made
 * the quorum. Seen at the node, so that what is left of a grant's time is what this process did itself.
 */
import { toHex } from "../../src/base/bytes.ts";
import { admissionCodec } from "../../src/coalition/grant.ts";
import { attemptKey } from "../../src/coalition/ids.ts";
import { type Join, joinOver } from "../../src/network/join.ts";
import { startNode } from "../../src/network/node.ts";
import { decodeRecord } from "../../src/network/record.ts";
import { PUT_PROTOCOL } from "../../src/network/replica.ts";
import { SHARE_PROTOCOL, shareRequestCodec } from "../../src/zipnet/unseal.ts";

interface Wait {
  readonly protocol: string;
  readonly body: Uint8Array;
  readonly startMs: number;
  readonly answersMs: number[];
}

export interface Waits {
  readonly join: Join;
  /** Milliseconds for shares, by attempt key, and for puts, by the record's bytes in hex. Forgets them. */
  take(quorum: number): {
    readonly shares: ReadonlyMap<string, number>;
    readonly puts: ReadonlyMap<string, number>;
  };
}

const REQUEST_BYTES_MAX = 64 * 1024;

export function watchWaits(): Waits {
  /** The same bytes go to every member, so the array itself names the question. */
  let waits = new Map<Uint8Array, Wait>();
  return {
    join: joinOver(async (options) => {
      const node = await startNode(options);
      return {
        ...node,
        async request(peer, protocol, body, how) {
          const answer = node.request(peer, protocol, body, how);
          if (protocol !== SHARE_PROTOCOL && protocol !== PUT_PROTOCOL) return await answer;
          const wait = waits.get(body) ?? {
            ...{ protocol, body, startMs: performance.now(), answersMs: [] },
          };
          waits.set(body, wait);
          const bytes = await answer;
          wait.answersMs.push(performance.now() - wait.startMs);
          return bytes;
        },
      };
    }),
    take(quorum) {
      const shares = new Map<string, number>();
      const puts = new Map<string, number>();
      for (const { protocol, body, answersMs } of waits.values()) {
        const ms = answersMs[quorum - 1];
        if (ms === undefined) continue;
        if (protocol === SHARE_PROTOCOL) shares.set(askedFor(body), ms);
        else puts.set(toHex(body), ms);
      }
      waits = new Map();
      return { shares, puts };
    },
  };
}

function askedFor(body: Uint8Array): string {
  const { admission } = shareRequestCodec.decode(body, REQUEST_BYTES_MAX);
  const record = decodeRecord(admission);
  const { requestId, attempt } = admissionCodec.decode(record.body, REQUEST_BYTES_MAX);
  return attemptKey(requestId, attempt);
}
