/**
 * Live snapshots as server-sent events (WHATWG HTML, "Server-sent events"). Every event is a whole snapshot, so a
 * client that is behind needs only the newest: one encoded snapshot is shared by all, a client takes it when its own
 * connection asks for more, and whatever came in between is never kept. A generator would give neither the
 * backpressure nor the news that the client has gone.
 */
import { utf8 } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import {
  EVENT_CLIENTS_MAX,
  HEARTBEAT_MS,
  SNAPSHOT_COALESCE_MS,
  SNAPSHOT_LOOK_MS,
} from "../base/limits.ts";
import type { Logger } from "../base/log.ts";

export interface LiveOptions {
  /** The snapshot that holds now, as one line of JSON. */
  readonly snapshot: () => string;
  readonly onChange: (listener: () => void) => () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Live {
  /** Throws `too-many-clients`. */
  connect(): Response;
  readonly clients: number;
  stop(): void;
}

interface Client {
  /** Number of the last snapshot it took. */
  taken: number;
  /** Set while its connection has room and nothing is due. */
  wake: (() => void) | undefined;
  beatDue: boolean;
  close(): void;
}

const HEARTBEAT = utf8(": alive\n\n");
/** How soon a browser that lost the stream asks again. */
const HELLO = utf8("retry: 2000\n\n");

export function createLive({ snapshot, onChange, clock, log }: LiveOptions): Live {
  const clients = new Set<Client>();
  const stopped = new AbortController();
  let latest: Uint8Array = new Uint8Array(0);
  let latestText = "";
  let count = 0;
  let sentMs = clock.monotonicMs();
  let sleep = new AbortController();
  let awake = false;
  const unsubscribe = onChange(() => sleep.abort());

  return {
    connect() {
      if (clients.size >= EVENT_CLIENTS_MAX || stopped.signal.aborted) {
        throw new BridgeError("too-many-clients", `${EVENT_CLIENTS_MAX} live streams are open`, {
          fix: "close one of the pages, or ask /api/v1/snapshot from time to time",
        });
      }
      look();
      const body = openStream();
      if (!awake) void keepLooking();
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    },
    get clients() {
      return clients.size;
    },
    stop() {
      stopped.abort();
      unsubscribe();
      for (const client of clients) client.close();
    },
  };

  function openStream(): ReadableStream<Uint8Array> {
    const client: Client = { taken: 0, wake: undefined, beatDue: false, close: () => {} };
    return new ReadableStream<Uint8Array>(
      {
        start(controller) {
          clients.add(client);
          client.close = () => {
            clients.delete(client);
            client.wake?.();
            controller.close();
          };
          controller.enqueue(HELLO);
        },
        async pull(controller) {
          if (client.taken === count && !client.beatDue) {
            await new Promise<void>((resolve) => {
              client.wake = resolve;
            });
            client.wake = undefined;
          }
          if (!clients.has(client)) return;
          controller.enqueue(client.taken === count ? HEARTBEAT : latest);
          client.taken = count;
          client.beatDue = false;
        },
        cancel() {
          clients.delete(client);
          client.wake?.();
        },
      },
      { highWaterMark: 0 }, // nothing is queued for a connection that has no room
    );
  }

  /** For as long as somebody looks. */
  async function keepLooking(): Promise<void> {
    awake = true;
    while (clients.size > 0 && !stopped.signal.aborted) {
      sleep = new AbortController();
      await clock.sleep(SNAPSHOT_LOOK_MS, AbortSignal.any([sleep.signal, stopped.signal]));
      if (sleep.signal.aborted) await clock.sleep(SNAPSHOT_COALESCE_MS, stopped.signal);
      look();
    }
    awake = false;
  }

  function look(): void {
    let text = latestText;
    try {
      text = snapshot();
    } catch (error) {
      log.error("snapshot-failed", { error });
    }
    const nowMs = clock.monotonicMs();
    if (text !== latestText) {
      latestText = text;
      latest = utf8(`event: snapshot\ndata: ${text}\n\n`);
      count += 1;
    } else if (nowMs - sentMs >= HEARTBEAT_MS) {
      for (const client of clients) client.beatDue = true;
    } else {
      return;
    }
    sentMs = nowMs;
    for (const client of clients) client.wake?.();
  }
}
