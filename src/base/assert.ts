/** Invariants that crash. A broken invariant is a bug of ours, never a peer's bad input. */
import { BridgeError } from "./errors.ts";

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new BridgeError("invariant", message);
}

/** Unwraps a value the surrounding code guarantees to exist. */
export function must<T>(value: T | undefined | null, message: string): T {
  if (value === undefined || value === null) throw new BridgeError("invariant", message);
  return value;
}

/** Makes a switch over a union exhaustive at compile time and loud at run time. */
export function unreachable(value: never): never {
  throw new BridgeError("invariant", `unexpected variant ${JSON.stringify(value)}`);
}
