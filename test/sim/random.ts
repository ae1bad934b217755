/** Every random source of the program from one seed, so that a run can be repeated to the byte. */
import { seededRandom } from "../support/arbitraries.ts";
import { seedMathRandom } from "../support/fake-clock.ts";

export interface Dice {
  /** An integer from 0 to `count` - 1. */
  below(count: number): number;
  between(least: number, most: number): number;
  chance(share: number): boolean;
  pick<T>(from: readonly [T, ...T[]] | readonly T[]): T;
  /** A random part of the list, in its order. */
  some<T>(from: readonly T[]): T[];
}

export function diceOf(seed: number): Dice {
  const below = seededRandom(seed);
  return {
    below,
    between: (least, most) => least + below(most - least + 1),
    chance: (share) => below(1_000_000) < share * 1_000_000,
    pick<T>(from: readonly T[]): T {
      if (from.length === 0) throw new Error("nothing to pick from");
      return from[below(from.length)] as T;
    },
    some: (from) => from.filter(() => below(2) === 0),
  };
}

/** Seeds Math.random (jitter) and crypto.getRandomValues (keys, nonces). Returns the way back. */
export function seedEverything(seed: number): () => void {
  const restoreMath = seedMathRandom(seed);
  const below = seededRandom(seed ^ 0x5bd1e995);
  const original = crypto.getRandomValues;
  const seeded = <T extends ArrayBufferView | null>(into: T): T => {
    if (into === null) return into;
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = below(256);
    return into;
  };
  const install = (value: unknown): void => {
    Object.defineProperty(crypto, "getRandomValues", { value, configurable: true, writable: true });
  };
  install(seeded);
  return () => {
    install(original);
    restoreMath();
  };
}
