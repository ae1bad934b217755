/** Keeps a connection to every bootstrap address, with backoff and jitter, for as long as the node lives. */
import type { PeerId } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import { type Clock, jitter } from "../base/clock.ts";
import { REDIAL_MS, REDIAL_MS_MAX } from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import { peerIdFromText } from "./identity.ts";

interface Dialler {
  readonly peerId: PeerId;
  getPeers(): PeerId[];
  dial(address: ReturnType<typeof multiaddr>, options: { signal: AbortSignal }): Promise<unknown>;
}

/** Returns the way to stop. An address of ourselves is left out. */
export function keepDialled(
  node: Dialler,
  addresses: readonly string[],
  clock: Clock,
  log: Logger,
): () => void {
  const controller = new AbortController();
  for (const address of addresses) {
    const target = peerIdFromText(address.split("/p2p/").at(-1) ?? "");
    if (!target.equals(node.peerId)) void keep(address, target);
  }
  return () => controller.abort();

  async function keep(address: string, target: PeerId): Promise<void> {
    let waitMs = REDIAL_MS;
    while (!controller.signal.aborted) {
      if (node.getPeers().some((peer) => peer.equals(target))) {
        waitMs = REDIAL_MS;
      } else {
        try {
          await node.dial(multiaddr(address), {
            signal: AbortSignal.any([controller.signal, AbortSignal.timeout(REDIAL_MS_MAX)]),
          });
          waitMs = REDIAL_MS;
          continue;
        } catch (error) {
          log.debug("dial-failed", { address, error });
          waitMs = Math.min(waitMs * 2, REDIAL_MS_MAX);
        }
      }
      await clock.sleep(jitter(waitMs), controller.signal);
    }
  }
}
