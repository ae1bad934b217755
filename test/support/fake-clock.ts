/**
 * A clock that the test owns. Time stands still until the test moves it; then every timer that falls due fires in
 * order, and what each one sets off has settled before the next one fires. Two runs with the same timers are the same.
 */
import type { Clock } from "../../src/base/clock.ts";
import { seededRandom } from "./arbitraries.ts";

export interface FakeClock extends Clock {
  /** Moves time on by `ms`, firing what falls due on the way. */
  advance(ms: number): Promise<void>;
  /** Moves time on, timer by timer, until `condition` holds. Throws once `maxMs` have passed without it. */
  until(condition: () => boolean, maxMs: number, what?: string): Promise<void>;
  /** Moves time on until the promise settles, and hands its outcome over. Throws once `maxMs` have passed. */
  run<T>(promise: Promise<T>, maxMs: number, what?: string): Promise<T>;
  /** Lets everything happen that needs no time. */
  settle(): Promise<void>;
  /** The same time with a wall clock of its own: `shiftMs` may be changed at any moment, as a host may do. */
  skewed(shiftMs?: number): SkewedClock;
  /** Timers that wait. */
  readonly pending: number;
}

export interface SkewedClock extends Clock {
  shiftMs: number;
}

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  fire(): void;
}

/** Somewhere in 2026, so that a log line of a test looks like one. */
export const FAKE_START_MS = 1_790_000_000_000;

export function fakeClock(startMs = FAKE_START_MS): FakeClock {
  const timers = timerHeap();
  let elapsedMs = 0;
  let order = 0;

  const sleep = (delayMs: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      order += 1;
      // Whole microseconds: a rest that is lost in rounding must not be waited for again and again.
      const wholeMs = Math.ceil(Math.max(0, delayMs) * 1000) / 1000;
      const timer: Timer = { dueMs: elapsedMs + wholeMs, order, fire: done };
      function done(): void {
        timers.remove(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      }
      signal?.addEventListener("abort", done, { once: true });
      timers.add(timer);
    });

  /** Fires the next timer if it is due by `limitMs`; false when none is. */
  const step = async (limitMs: number): Promise<boolean> => {
    await settle();
    const next = timers.first();
    if (next === undefined || next.dueMs > limitMs) return false;
    elapsedMs = Math.max(elapsedMs, next.dueMs);
    next.fire();
    return true;
  };

  const until = async (condition: () => boolean, maxMs: number, what = "what was awaited") => {
    const limitMs = elapsedMs + maxMs;
    for (;;) {
      await settle();
      if (condition()) return;
      if (!(await step(limitMs))) {
        throw new Error(`${what} did not come within ${maxMs} ms of the test's time`);
      }
    }
  };

  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    sleep,
    settle,
    until,
    get pending() {
      return timers.size();
    },
    async advance(ms) {
      const limitMs = elapsedMs + ms;
      while (await step(limitMs));
      elapsedMs = limitMs;
    },
    async run(promise, maxMs, what) {
      let settled = false;
      const mark = (): void => {
        settled = true;
      };
      promise.then(mark, mark);
      await until(() => settled, maxMs, what);
      return await promise;
    },
    skewed(shiftMs = 0) {
      const skewed: SkewedClock = {
        shiftMs,
        nowMs: () => startMs + elapsedMs + skewed.shiftMs,
        monotonicMs: () => elapsedMs,
        sleep,
      };
      return skewed;
    },
  };
}

/** A macrotask runs when no promise has anything left to do. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Makes Math.random, and with it the jitter of every interval, repeatable. Returns the way back. */
export function seedMathRandom(seed: number): () => void {
  const original = Math.random;
  const below = seededRandom(seed);
  Math.random = () => below(2 ** 32) / 2 ** 32;
  return () => {
    Math.random = original;
  };
}

interface TimerHeap {
  add(timer: Timer): void;
  remove(timer: Timer): void;
  first(): Timer | undefined;
  size(): number;
}

/** A binary heap by due time, then by order of creation. Removed timers are left in place and skipped. */
function timerHeap(): TimerHeap {
  const heap: Timer[] = [];
  const live = new Set<Timer>();
  const before = (a: Timer | undefined, b: Timer | undefined): boolean =>
    a !== undefined &&
    b !== undefined &&
    (a.dueMs !== b.dueMs ? a.dueMs < b.dueMs : a.order < b.order);
  const swap = (i: number, j: number): void => {
    const [a, b] = [heap[i], heap[j]];
    if (a === undefined || b === undefined) return;
    heap[i] = b;
    heap[j] = a;
  };
  const pop = (): void => {
    swap(0, heap.length - 1);
    heap.pop();
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (before(heap[child], heap[least])) least = child;
      }
      if (least === i) return;
      swap(i, least);
      i = least;
    }
  };
  return {
    add(timer) {
      live.add(timer);
      heap.push(timer);
      for (let i = heap.length - 1; i > 0; ) {
        const parent = (i - 1) >> 1;
        if (!before(heap[i], heap[parent])) return;
        swap(i, parent);
        i = parent;
      }
    },
    remove: (timer) => void live.delete(timer),
    first() {
      for (let top = heap[0]; top !== undefined; top = heap[0]) {
        if (live.has(top)) return top;
        pop();
      }
      return undefined;
    },
    size: () => live.size,
  };
}
