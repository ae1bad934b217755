/** Random inputs that several test files share. */
import fc from "fast-check";

export function bytes(minLength: number, maxLength = minLength): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength, maxLength });
}

/** A copy with one bit flipped. `at` may exceed the length; it wraps around. */
export function flipped(source: Uint8Array, at: number, bit = 0): Uint8Array {
  const copy = source.slice();
  const index = at % copy.length;
  copy[index] = (copy[index] ?? 0) ^ (1 << (bit % 8));
  return copy;
}

/** A small seeded generator (mulberry32) for long fuzz loops whose every run must be the same. */
export function seededRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
