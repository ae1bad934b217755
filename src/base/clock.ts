/** Time and timers behind one interface, so that a test or the simulator can own them. */

export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. Advisory: a host can move it. */
  nowMs(): number;
  /** Never goes back while the process lives. */
  monotonicMs(): number;
  /** Resolves after `delayMs`, or at once when the signal aborts (it never rejects). */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

const TIMER_MAX_MS = 2 ** 31 - 1; // what the runtime's timers can hold

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep(delayMs, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = setTimeout(done, Math.min(Math.max(0, delayMs), TIMER_MAX_MS));
      function done(): void {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      }
      signal?.addEventListener("abort", done, { once: true });
    });
  },
};

/** `baseMs` plus or minus up to `share` of it, so that many nodes do not act in step. */
export function jitter(baseMs: number, share = 0.2): number {
  return baseMs * (1 + share * (2 * Math.random() - 1));
}

/** A signal that aborts after `delayMs` on this clock, or with its parent. */
export function timeoutSignal(clock: Clock, delayMs: number, parent?: AbortSignal): AbortSignal {
  const controller = new AbortController();
  void clock.sleep(delayMs, parent).then(() => controller.abort());
  return controller.signal;
}
