/**
 * Streams that carry one exchange after another. Opening one is most of the work of a request: it is negotiated, and
 * every frame of that is answered, encrypted and written for itself. So a stream whose exchange went well is kept for
 * the next request to the same peer under the same protocol, like a connection that HTTP keeps alive.
 */
import type { Stream } from "@libp2p/interface";
import { lpStream } from "@libp2p/utils";
import { ANSWER_BYTES_MAX, IDLE_STREAM_MS, IDLE_STREAMS_MAX } from "../base/limits.ts";

export interface Streams {
  /** One exchange. Throws what opening, writing or reading throws; the stream is given up then. */
  exchange(
    peer: string,
    protocol: string,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array>;
}

interface Kept {
  readonly stream: Stream;
  readonly frames: ReturnType<typeof lpStream>;
  idleSinceMs: number;
}

export function keptStreams(
  open: (peer: string, protocol: string, signal: AbortSignal) => Promise<Stream>,
  monotonicMs: () => number,
): Streams {
  const idle = new Map<string, Kept[]>();
  return {
    async exchange(peer, protocol, body, signal) {
      const key = `${peer} ${protocol}`;
      const kept = take(key);
      if (kept !== undefined) {
        try {
          return await run(key, kept, body, signal);
        } catch (error) {
          if (signal.aborted) throw error;
          // The peer had let go of it in the same moment: what we ask for may be asked twice.
        }
      }
      const stream = await open(peer, protocol, signal);
      const frames = lpStream(stream, { maxDataLength: ANSWER_BYTES_MAX });
      stream.addEventListener("close", () => forget(key, stream), { once: true });
      return await run(key, { stream, frames, idleSinceMs: 0 }, body, signal);
    },
  };

  async function run(
    key: string,
    one: Kept,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    try {
      await one.frames.write(body, { signal });
      const answer = (await one.frames.read({ signal })).subarray();
      keep(key, one);
      return answer;
    } catch (error) {
      one.stream.abort(error instanceof Error ? error : new Error("request failed"));
      throw error;
    }
  }

  /** The newest that is still good. The peer waits twice as long as we do before it lets go. */
  function take(key: string): Kept | undefined {
    const list = idle.get(key) ?? [];
    for (let one = list.pop(); one !== undefined; one = list.pop()) {
      const fresh = monotonicMs() - one.idleSinceMs < IDLE_STREAM_MS / 2;
      if (fresh && one.stream.status === "open" && one.stream.remoteWriteStatus === "writable")
        return one;
      drop(one);
    }
    idle.delete(key);
    return undefined;
  }

  function keep(key: string, one: Kept): void {
    const list = idle.get(key) ?? [];
    if (one.stream.status === "open" && list.length < IDLE_STREAMS_MAX) {
      one.idleSinceMs = monotonicMs();
      idle.set(key, [...list, one]);
    } else drop(one);
  }

  function forget(key: string, stream: Stream): void {
    const left = (idle.get(key) ?? []).filter((one) => one.stream !== stream);
    if (left.length > 0) idle.set(key, left);
    else idle.delete(key);
  }
}

function drop({ stream }: Kept): void {
  void stream.close().catch((error: unknown) => stream.abort(error as Error));
}
