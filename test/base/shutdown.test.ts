import { describe, expect, test } from "bun:test";
import type { Clock } from "../../src/base/clock.ts";
import { createLogger } from "../../src/base/log.ts";
import { Shutdown } from "../../src/base/shutdown.ts";

/** Time stands still until `advance`; counts the timers that are still running. */
function manualClock(): Clock & { advance(ms: number): void; readonly running: number } {
  let now = 0;
  const timers = new Set<{ atMs: number; fire: () => void }>();
  return {
    nowMs: () => now,
    monotonicMs: () => now,
    sleep: (delayMs, signal) =>
      new Promise((resolve) => {
        const timer = { atMs: now + delayMs, fire: resolve };
        timers.add(timer);
        signal?.addEventListener("abort", () => {
          timers.delete(timer);
          resolve();
        });
      }),
    advance(ms) {
      now += ms;
      for (const timer of timers) {
        if (timer.atMs > now) continue;
        timers.delete(timer);
        timer.fire();
      }
    },
    get running() {
      return timers.size;
    },
  };
}

const never = (): Promise<void> => new Promise(() => {});

/** Lets everything that can run without the clock run. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("order", () => {
  test("what was opened last is closed first, one after the other", async () => {
    const shutdown = new Shutdown(manualClock());
    const events: string[] = [];
    for (const name of ["journal", "network", "admin"]) {
      shutdown.defer(name, async () => {
        events.push(`${name} begins`);
        await settle();
        events.push(`${name} ends`);
      });
    }
    expect(await shutdown.run(1000)).toEqual([]);
    expect(events).toEqual(
      ["admin", "network", "journal"].flatMap((name) => [`${name} begins`, `${name} ends`]),
    );
  });

  test("the signal is raised before the first stage stops", async () => {
    const shutdown = new Shutdown(manualClock());
    expect(shutdown.signal.aborted).toBe(false);
    let raised = false;
    shutdown.defer("stage", () => {
      raised = shutdown.signal.aborted;
    });
    await shutdown.run(1000);
    expect(raised).toBe(true);
  });

  test("a second call is the first one", async () => {
    const shutdown = new Shutdown(manualClock());
    let stops = 0;
    shutdown.defer("stage", () => {
      stops += 1;
    });
    const first = shutdown.run(1000);
    expect(shutdown.run(1)).toBe(first);
    await first;
    expect(stops).toBe(1);
  });
});

describe("failure", () => {
  test("a stage that throws, at once or later, is named and logged; the others still stop", async () => {
    const shutdown = new Shutdown(manualClock());
    const lines: string[] = [];
    const stopped: string[] = [];
    shutdown.defer("first", () => {
      stopped.push("first");
    });
    shutdown.defer("rejects", () => Promise.reject(new Error("late")));
    shutdown.defer("throws", () => {
      throw new Error("at once");
    });
    const log = createLogger({
      ...{ level: "debug", format: "text", nowMs: () => 0 },
      write: (line) => lines.push(line),
    });
    expect(await shutdown.run(1000, log)).toEqual(["throws", "rejects"]);
    expect(stopped).toEqual(["first"]);
    expect(lines.map((line) => /stage=(\S+)/.exec(line)?.[1])).toEqual(["throws", "rejects"]);
  });

  test("a stage that overruns is named at its deadline, not before, and the next one gets its own", async () => {
    const clock = manualClock();
    const shutdown = new Shutdown(clock);
    const stopped: string[] = [];
    shutdown.defer("last", () => {
      stopped.push("last");
    });
    shutdown.defer("hangs too", never);
    shutdown.defer("hangs", never);
    const running = shutdown.run(1000);
    await settle();
    clock.advance(999);
    await settle();
    expect(stopped).toEqual([]);
    clock.advance(1);
    await settle();
    clock.advance(999);
    await settle();
    expect(stopped).toEqual([]);
    clock.advance(1);
    expect(await running).toEqual(["hangs", "hangs too"]);
    expect(stopped).toEqual(["last"]);
  });

  test("no timer is left running, so the process can end", async () => {
    const clock = manualClock();
    const shutdown = new Shutdown(clock);
    shutdown.defer("quick", () => {});
    shutdown.defer("slower", settle);
    await shutdown.run(60_000);
    expect(clock.running).toBe(0);
  });
});
