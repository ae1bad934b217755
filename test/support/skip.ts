/**
 * The one way to leave a test out. What is missing is said aloud as a skipped test that names it (test/run.ts
 * prints the list); with BRIDGE_NO_SKIP=1, as in CI, the same line is a failure.
 */
import { test } from "bun:test";

const MISSING = "needs ";
const VECTORS = "published vectors: ";

export function skipsAreFailures(): boolean {
  return process.env.BRIDGE_NO_SKIP === "1";
}

/**
 * Hands `found` back when it is there; otherwise registers one skipped test that names `what` (a package where
 * one would help) and returns undefined. Call it at the top level of a test file.
 *
 *   const keygen = needs("openssh-client", Bun.which("ssh-keygen"));
 *   if (keygen !== undefined) describe("against ssh-keygen", () => { … });
 */
export function needs<T>(what: string, found: T | null | undefined | false): T | undefined {
  if (found !== null && found !== undefined && found !== false) return found;
  if (skipsAreFailures()) {
    test(`${MISSING}${what}`, () => {
      throw new Error(`${what} is missing, and BRIDGE_NO_SKIP=1 allows no test to be left out`);
    });
  } else {
    test.skip(`${MISSING}${what}`, () => {});
  }
  return undefined;
}

/** The name under which missing vectors are reported, read again by `lostVectorCases`. */
export function vectorsName(folder: string, cases: number): string {
  return `${VECTORS}${folder} (${cases} cases)`;
}

/** How many vector cases the test of this name stands for; 0 for every other test. */
export function lostVectorCases(testName: string): number {
  if (!testName.startsWith(`${MISSING}${VECTORS}`)) return 0;
  return Number(/\((\d+) cases\)$/.exec(testName)?.[1] ?? 0);
}
