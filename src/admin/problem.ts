/** Failures as answers: {code, message, fix}. What a client sent is never repeated, and a bug of ours says no more than that. */
import { BridgeError, type ErrorCode } from "../base/errors.ts";

const STATUS: Partial<Record<ErrorCode, number>> = {
  "bad-argument": 400,
  "no-token": 401,
  "wrong-token": 401,
  "foreign-host": 403,
  "foreign-origin": 403,
  "no-such-path": 404,
  "wrong-method": 405,
  "not-now": 409,
  "too-large": 413,
  "too-many-clients": 503,
  "journal-unwritable": 503,
};

const MORE_HEADERS: Partial<Record<ErrorCode, Readonly<Record<string, string>>>> = {
  "no-token": { "www-authenticate": "Bearer" },
  "wrong-token": { "www-authenticate": 'Bearer error="invalid_token"' },
  "too-many-clients": { "retry-after": "15" },
};

/** Turns what was thrown into the answer, and takes note of it. */
export type Refuse = (error: unknown, headers?: Readonly<Record<string, string>>) => Response;

/** A code that is not in the table is a fault of the program, whatever was thrown. */
export function problem(error: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  const status = error instanceof BridgeError ? STATUS[error.code] : undefined;
  if (!(error instanceof BridgeError) || status === undefined) {
    const message = "the provider could not answer";
    return Response.json(
      { code: "invariant", message, fix: "look for admin-failed in the provider's log" },
      { status: 500 },
    );
  }
  const { code, message, fix = null } = error;
  return Response.json(
    { code, message, fix },
    { status, headers: { ...MORE_HEADERS[code], ...headers } },
  );
}

/** True when the client, not the program, is at fault. */
export function isRefusal(error: unknown): error is BridgeError {
  return error instanceof BridgeError && STATUS[error.code] !== undefined;
}
