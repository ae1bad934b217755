/**
 * Every failure the program reports on purpose is a BridgeError. The family says whose problem it is, the
 * code is closed and stable (tests and operators match on it, never on the text), `fix` says what to do,
 * and `retry` what a caller may do without asking anybody.
 */

/** Codes by family. A code belongs to exactly one family. */
export const ERROR_CODES = {
  usage: ["bad-argument", "unknown-command", "development-only"],
  config: ["config-invalid", "config-unreadable", "secret-unreadable", "unsafe-permissions"],
  encoding: ["malformed", "not-canonical", "too-deep", "too-large", "wrong-schema"],
  record: [
    "bad-signature",
    "wrong-network",
    "wrong-key",
    "stale-epoch",
    "over-quota",
    "expired",
    "not-endorsed",
    "not-granted",
    "superseded",
    "unknown-kind",
    "lacks-context",
  ],
  network: ["unreachable", "timeout", "refused-by-peer", "rate-limited", "closed"],
  committee: [
    "already-voted",
    "release-locked",
    "attempt-passed",
    "attempts-exhausted",
    "not-eligible",
    "not-the-provider",
    "bad-share",
    "too-few-shares",
    "bad-ciphertext",
    "no-grant",
  ],
  receipt: ["cannot-open", "wrong-signer", "wrong-grant"],
  backend: [
    "capacity",
    "quota",
    "throttle",
    "auth",
    "bug",
    "unknown-outcome",
    "bad-image",
    "wrong-host-key",
    "machine-ended",
  ],
  ledger: ["journal-unwritable", "journal-foreign", "journal-locked", "live-machines"],
  admin: [
    "foreign-host",
    "foreign-origin",
    "no-token",
    "wrong-token",
    "no-such-path",
    "wrong-method",
    "too-many-clients",
    "not-now",
  ],
  bug: ["invariant"],
} as const;

export type ErrorFamily = keyof typeof ERROR_CODES;
export type ErrorCode = (typeof ERROR_CODES)[ErrorFamily][number];
export type Retry = "never" | "later" | "now";

const familyOf = new Map<ErrorCode, ErrorFamily>(
  Object.entries(ERROR_CODES).flatMap(([family, codes]) =>
    codes.map((code) => [code, family as ErrorFamily] as const),
  ),
);

export interface ErrorDetails {
  /** One sentence: what a person should do about it. */
  readonly fix?: string;
  readonly retry?: Retry;
  readonly cause?: unknown;
}

export class BridgeError extends Error {
  readonly family: ErrorFamily;
  readonly code: ErrorCode;
  readonly retry: Retry;
  readonly fix: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "BridgeError";
    this.code = code;
    this.family = familyOf.get(code) ?? "bug";
    this.retry = details.retry ?? "never";
    this.fix = details.fix;
  }
}

/** The code of a thrown value; anything that is not a BridgeError is a bug of ours until proven otherwise. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof BridgeError ? error.code : "invariant";
}

export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): boolean {
  return error instanceof BridgeError && codes.includes(error.code);
}

/** One line for a person: code, text, the chain of causes, and the fix. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const parts = [error instanceof BridgeError ? `${error.code}: ${error.message}` : error.message];
  for (let cause = error.cause, depth = 0; cause instanceof Error && depth < 4; depth += 1) {
    parts.push(cause instanceof BridgeError ? `${cause.code}: ${cause.message}` : cause.message);
    cause = cause.cause;
  }
  const fix = error instanceof BridgeError && error.fix !== undefined ? ` (${error.fix})` : "";
  return `${parts.join("; caused by ")}${fix}`;
}
