/**
 * The clock of one simulated process: its own wall clock, a monotonic clock that starts with it, and an end. A process
 * that has ended never wakes up again, so what it still had in hand happens to nobody.
 */
import type { Clock } from "../../src/base/clock.ts";
import type { FakeClock } from "../support/fake-clock.ts";

export interface ProcessClock extends Clock {
  /** How far its wall clock is off; a host may move it at any moment. */
  skewMs: number;
  readonly ended: boolean;
  /** As kill -9: nothing that sleeps wakes up, not even by an abort. */
  end(): void;
  /** Waits for ever once the process has ended, passes the value on before. */
  whileAlive<T>(promise: Promise<T>): Promise<T>;
}

const never = (): Promise<never> => new Promise(() => {});

export function processClock(world: FakeClock, skewMs = 0): ProcessClock {
  const startedMs = world.monotonicMs();
  let ended = false;
  const process: ProcessClock = {
    skewMs,
    get ended() {
      return ended;
    },
    nowMs: () => world.nowMs() + process.skewMs,
    monotonicMs: () => world.monotonicMs() - startedMs,
    sleep: (delayMs, signal) => process.whileAlive(world.sleep(delayMs, signal)),
    end() {
      ended = true;
    },
    async whileAlive(promise) {
      try {
        const value = await promise;
        return ended ? await never() : value;
      } catch (error) {
        if (ended) await never();
        throw error;
      }
    },
  };
  return process;
}
