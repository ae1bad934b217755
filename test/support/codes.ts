/** Looks at errors the way callers do: by code. */
import { BridgeError, type ErrorCode } from "../../src/base/errors.ts";

/** The code of the BridgeError that `run` throws, undefined when it returns. Any other error passes through. */
export function codeThrownBy(run: () => unknown): ErrorCode | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof BridgeError) return error.code;
    throw error;
  }
}
