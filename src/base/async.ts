/** Small tools for waiting on several things at once. */
import { BridgeError } from "./errors.ts";

/** True as soon as `need` promises are fulfilled, false when that has become impossible. Never rejects. */
export async function atLeast(
  need: number,
  promises: readonly Promise<unknown>[],
): Promise<boolean> {
  if (need <= 0) return true;
  if (promises.length < need) return false;
  return await new Promise((resolve) => {
    let fulfilled = 0;
    let open = promises.length;
    const settle = (ok: boolean): void => {
      open -= 1;
      if (ok) fulfilled += 1;
      if (fulfilled === need) resolve(true);
      else if (fulfilled + open < need) resolve(false);
    };
    for (const promise of promises) {
      promise.then(
        () => settle(true),
        () => settle(false),
      );
    }
  });
}

/** The promise's own outcome, or `timeout` once the signal aborts: for callees that may not heed it. */
export async function beforeAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return await new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new BridgeError("timeout", "no answer in time"));
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}
