import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { createLive, type Live } from "../../src/admin/live.ts";
import { snapshotCodec } from "../../src/admin/schemas.ts";
import {
  EVENT_CLIENTS_MAX,
  HEARTBEAT_MS,
  SNAPSHOT_COALESCE_MS,
  SNAPSHOT_LOOK_MS,
} from "../../src/base/limits.ts";
import { createLogger } from "../../src/base/log.ts";
import { eventually } from "../support/eventually.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { readExposition, seriesValue } from "./exposition.ts";
import { type AdminRig, startAdminRig } from "./rig.ts";

/** The stream behind a real server, its time and its snapshots in the hands of the test. */
interface Bench {
  readonly live: Live;
  readonly clock: FakeClock;
  readonly logged: string[];
  snapshot: () => string;
  /** How often a snapshot was made. */
  made: number;
  changed(): void;
  /** A raw HTTP connection to the stream. */
  listen(): Listener;
  close(): void;
}

interface Listener {
  readonly socket: Socket;
  text: string;
  ended: boolean;
}

function startBench(): Bench {
  const clock = fakeClock();
  const logged: string[] = [];
  let listener = (): void => {};
  const bench = { snapshot: () => `"${bench.made}"`, made: 0 };
  const live = createLive({
    snapshot: () => {
      bench.made += 1;
      return bench.snapshot();
    },
    onChange: (added) => {
      listener = added;
      return () => {
        listener = () => {};
      };
    },
    clock,
    log: createLogger({
      level: "info",
      format: "json",
      write: (line) => void logged.push(line),
      nowMs: () => 0,
    }),
  });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 60,
    fetch: () => live.connect(),
  });
  const sockets = new Set<Socket>();
  return Object.assign(bench, {
    live,
    clock,
    logged,
    changed: () => listener(),
    listen() {
      const socket = connect(server.port ?? 0, "127.0.0.1", () =>
        socket.write("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
      );
      const heard: Listener = { socket, text: "", ended: false };
      socket.on("data", (data) => {
        heard.text += data;
      });
      socket.on("close", () => {
        heard.ended = true;
      });
      socket.on("error", () => {});
      sockets.add(socket);
      return heard;
    },
    close() {
      live.stop();
      for (const socket of sockets) socket.destroy();
      void server.stop(true);
    },
  });
}

const eventsIn = ({ text }: Listener): string[] =>
  [...text.matchAll(/event: snapshot\ndata: (.*)\n\n/g)].map(([, data]) => data ?? "");

describe("the stream", () => {
  let bench: Bench;
  beforeEach(() => {
    bench = startBench();
  });
  afterEach(() => bench.close());

  test("begins with the snapshot that holds now", async () => {
    const heard = bench.listen();
    await eventually("a snapshot", () => eventsIn(heard).length === 1);
    expect(heard.text).toContain("text/event-stream");
    expect(heard.text).toContain("retry: 2000\n\n");
    expect(eventsIn(heard)).toEqual(['"1"']);
  });

  test("changes that come together make one snapshot", async () => {
    const heard = bench.listen();
    await eventually("a snapshot", () => eventsIn(heard).length === 1);
    for (let i = 0; i < 500; i += 1) bench.changed();
    await bench.clock.advance(SNAPSHOT_COALESCE_MS);
    await eventually("the second", () => eventsIn(heard).length === 2);
    expect(bench.made).toBe(2);
  });

  test("what did not change is not sent again, and nobody looks while nobody listens", async () => {
    bench.snapshot = () => '"same"';
    const heard = bench.listen();
    await eventually("a snapshot", () => eventsIn(heard).length === 1);
    await bench.clock.advance(3 * SNAPSHOT_LOOK_MS);
    expect(bench.made).toBe(4);
    expect(eventsIn(heard)).toEqual(['"same"']);
    heard.socket.destroy();
    await eventually("nobody", () => bench.live.clients === 0);
    await bench.clock.advance(SNAPSHOT_LOOK_MS); // the look that was under way
    const { made } = bench;
    bench.changed();
    await bench.clock.advance(10 * SNAPSHOT_LOOK_MS);
    expect(bench.made).toBe(made);
    expect(bench.clock.pending).toBe(0);
  });

  test("what nobody announces is noticed all the same", async () => {
    const heard = bench.listen();
    await eventually("a snapshot", () => eventsIn(heard).length === 1);
    await bench.clock.advance(SNAPSHOT_LOOK_MS);
    await eventually("the second", () => eventsIn(heard).length === 2);
  });

  test("a quiet stream says that it lives", async () => {
    bench.snapshot = () => '"same"';
    const heard = bench.listen();
    await eventually("a snapshot", () => eventsIn(heard).length === 1);
    expect(heard.text).not.toContain(": alive");
    await bench.clock.advance(HEARTBEAT_MS + SNAPSHOT_LOOK_MS);
    await eventually("a heartbeat", () => heard.text.includes(": alive\n\n"));
    await bench.clock.advance(HEARTBEAT_MS + SNAPSHOT_LOOK_MS);
    await eventually("another", () => heard.text.split(": alive\n\n").length === 3);
  });

  test("a snapshot that cannot be made costs that snapshot and is logged", async () => {
    const heard = bench.listen();
    await eventually("a snapshot", () => eventsIn(heard).length === 1);
    bench.snapshot = () => {
      throw new Error("does not fit its schema");
    };
    await bench.clock.advance(SNAPSHOT_LOOK_MS);
    expect(bench.logged.join()).toContain("snapshot-failed");
    bench.snapshot = () => '"well again"';
    await bench.clock.advance(SNAPSHOT_LOOK_MS);
    await eventually("the next", () => eventsIn(heard).includes('"well again"'));
  });

  test("a reader that takes nothing costs one snapshot, loses those in between, and gets the newest", async () => {
    const SIZE = 256 * 1024;
    const rounds = 400; // 100 MiB in all
    bench.snapshot = () => `"${bench.made} ${"x".repeat(SIZE)}"`;
    const slow = bench.listen();
    const quick = bench.listen();
    await eventually("both", () => eventsIn(slow).length > 0 && eventsIn(quick).length > 0);
    slow.socket.pause();
    quick.text = "";
    slow.text = "";
    let quickHeard = 0;
    for (let round = 0; round < rounds; round += 1) {
      bench.changed();
      await bench.clock.advance(SNAPSHOT_COALESCE_MS);
      await eventually("the quick one", () => quick.text.includes(`"${bench.made} `));
      quickHeard += 1;
      quick.text = "";
    }
    expect(quickHeard).toBe(rounds);
    const last = bench.made;
    slow.socket.resume();
    await eventually("the newest", () => slow.text.includes(`"${last} `));
    const heard = eventsIn(slow).map((data) => Number(data.slice(1).split(" ")[0]));
    // What the sockets' own buffers held, and then the newest: never a queue of ours.
    expect(heard.length).toBeLessThan(rounds / 4);
    expect(heard).toEqual([...heard].sort((a, b) => a - b));
    expect(heard.at(-1)).toBe(last);
  });

  test("a client that goes away frees its place, even while it waits", async () => {
    const all = Array.from({ length: EVENT_CLIENTS_MAX }, () => bench.listen());
    await eventually("all of them", () => all.every((one) => eventsIn(one).length > 0));
    expect(bench.live.clients).toBe(EVENT_CLIENTS_MAX);
    expect(() => bench.live.connect()).toThrow(`${EVENT_CLIENTS_MAX} live streams`);
    all[3]?.socket.destroy();
    await eventually("a free place", () => bench.live.clients === EVENT_CLIENTS_MAX - 1);
    const next = bench.listen();
    await eventually("the next one", () => eventsIn(next).length > 0);
  });

  test("stopping ends every stream and takes no new one", async () => {
    const heard = [bench.listen(), bench.listen()];
    await eventually("both", () => heard.every((one) => eventsIn(one).length > 0));
    bench.live.stop();
    await eventually("the end", () => heard.every(({ text }) => text.endsWith("0\r\n\r\n")));
    expect(bench.live.clients).toBe(0);
    expect(() => bench.live.connect()).toThrow("live streams");
    await bench.clock.settle();
    expect(bench.clock.pending).toBe(0);
  });
});

describe("over the endpoint", () => {
  let rig: AdminRig;
  beforeEach(() => {
    rig = startAdminRig();
  });
  afterEach(() => rig.close());

  test("changes arrive as whole snapshots of the schema", async () => {
    const abort = new AbortController();
    const { body } = await rig.get("/api/v1/events", { signal: abort.signal });
    const reader = body?.getReader();
    if (reader === undefined) throw new Error("no body");
    const decoder = new TextDecoder();
    let text = "";
    const next = async (): Promise<ReturnType<typeof snapshotCodec.check>> => {
      while (!text.includes("\n\n", text.indexOf("event: snapshot"))) {
        const { value, done } = await reader.read();
        if (done) throw new Error("the stream ended");
        text += decoder.decode(value, { stream: true });
      }
      const [, data = "", rest = ""] = /event: snapshot\ndata: (.*)\n\n([\s\S]*)/.exec(text) ?? [];
      text = rest;
      return snapshotCodec.check(JSON.parse(data));
    };
    expect((await next()).provider.standing).toBe("serving");
    rig.standing.drain({ reason: "stop", terminate: false });
    expect((await next()).provider.standing).toBe("draining");
    abort.abort();
  });

  test("one client too many is told so, and clients are counted", async () => {
    const abort = new AbortController();
    const open = await Promise.all(
      Array.from({ length: EVENT_CLIENTS_MAX }, () =>
        rig.get("/api/v1/events", { signal: abort.signal }),
      ),
    );
    expect(open.every(({ status }) => status === 200)).toBe(true);
    const refused = await rig.get("/api/v1/events");
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("15");
    expect(await refused.json()).toMatchObject({ code: "too-many-clients" });
    const clients = async (): Promise<number> =>
      seriesValue(
        readExposition(await (await rig.get("/metrics")).text()),
        "compute_bridge_event_clients",
      );
    expect(await clients()).toBe(EVENT_CLIENTS_MAX);
    abort.abort();
    await eventually("free places", async () => (await clients()) === 0);
    const again = await rig.get("/api/v1/events", { signal: AbortSignal.timeout(20_000) });
    expect(again.status).toBe(200);
    await again.body?.cancel();
  });

  test("stopping the endpoint ends its streams at once", async () => {
    const { body } = await rig.get("/api/v1/events");
    await rig.admin.stop();
    const drained = (async () => {
      const reader = body?.getReader();
      while (reader !== undefined && !(await reader.read()).done);
    })();
    await drained.catch(() => {}); // a reset is an end, too
    expect(fetch(rig.admin.url)).rejects.toThrow();
  });
});
