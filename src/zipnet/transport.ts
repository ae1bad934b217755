/**
 * How a request gets into the coalition. Every transport carries the same fixed-size message; they differ in what
 * they hide. `direct` hands it to the members over libp2p: the content stays hidden, the sender does not.
 */
import { atLeast } from "../base/async.ts";
import { BridgeError } from "../base/errors.ts";
import { DIRECT_MS, REQUEST_BYTES_MAX } from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import type { Coalition } from "../coalition/config.ts";
import { encodeRecord } from "../network/record.ts";
import type { RecordStore } from "../network/store.ts";
import type { Transport } from "../network/transport.ts";
import { unpackRequest } from "./message.ts";

export interface RequestTransport {
  readonly name: "direct" | "zipnet";
  readonly hides: { readonly content: boolean; readonly sender: boolean };
  /** One sentence for the person who is about to use it. */
  readonly notice: string;
  /** Resolves once the message has entered the coalition. Throws `unreachable` or the members' refusal. */
  send(message: Uint8Array, signal: AbortSignal): Promise<void>;
}

export const DIRECT_PROTOCOL = "/compute-bridge/direct/1";

export const DIRECT_NOTICE =
  "transport direct: the committee members see which address this request comes from; only its content is hidden";

export function directTransport(transport: Transport, coalition: Coalition): RequestTransport {
  return {
    name: "direct",
    hides: { content: true, sender: false },
    notice: DIRECT_NOTICE,
    async send(message, signal) {
      let last: unknown;
      let refusal: BridgeError | undefined;
      const sends = coalition.members.map(async (member) => {
        try {
          await transport.request(member.peer, DIRECT_PROTOCOL, message, {
            timeoutMs: DIRECT_MS,
            signal,
          });
        } catch (error) {
          last = error;
          if (error instanceof BridgeError && error.family !== "network") refusal = error;
          throw error;
        }
      });
      if (await atLeast(1, sends)) return;
      if (refusal !== undefined) throw refusal;
      throw new BridgeError("unreachable", "no committee member took the request", {
        cause: last,
        retry: "later",
        fix: "check the member addresses in the coalition file and this machine's network",
      });
    },
  };
}

/** A member's side: checks the message as a record, stores it, and tells the others. */
export function serveDirect(transport: Transport, store: RecordStore, log: Logger): void {
  log.info("transport", { notice: DIRECT_NOTICE });
  transport.handle(DIRECT_PROTOCOL, REQUEST_BYTES_MAX, (peer, message) => {
    const bytes = encodeRecord(unpackRequest(message, store.network));
    if (store.offer(bytes, peer).fresh) transport.gossip(bytes);
    return new Uint8Array(0);
  });
}
