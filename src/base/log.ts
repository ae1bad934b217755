/**
 * Structured log lines. What may be printed is decided by type: a Secret prints as a placeholder, bytes print
 * as a keyed handle that lets one process's lines be matched with each other and with nothing else (an
 * appliance's console belongs to the host, so no grant or request id may stand there).
 */
import { createHmac, randomBytes } from "node:crypto";
import { BridgeError } from "./errors.ts";
import { LOG_FIELD_CHARS_MAX } from "./limits.ts";
import { Secret } from "./secret.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogValue = string | number | boolean | null | undefined | Uint8Array | Secret | unknown;
export type LogFields = Readonly<Record<string, LogValue>>;

export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** The same log with fields that every line carries. */
  with(fields: LogFields): Logger;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** `json` for machines, `text` for a terminal. */
  readonly format: "json" | "text";
  readonly write: (line: string) => void;
  readonly nowMs: () => number;
}

const ORDER: readonly LogLevel[] = ["debug", "info", "warn", "error"];
const handleKey = randomBytes(32);

/**
 * A short handle, stable within this process and meaningless outside it. For bytes, peer keys and machine names: the
 * network shows what they derive from, so a log that names them tells who had which machine.
 */
export function correlate(what: Uint8Array | string): string {
  return createHmac("sha256", handleKey).update(what).digest("hex").slice(0, 10);
}

export function createLogger(options: LogOptions, bound: LogFields = {}): Logger {
  const threshold = ORDER.indexOf(options.level);
  const line = (level: LogLevel, event: string, fields: LogFields = {}): void => {
    if (ORDER.indexOf(level) < threshold) return;
    const printable = redact({ ...bound, ...fields });
    const at = new Date(options.nowMs()).toISOString();
    options.write(
      options.format === "json"
        ? JSON.stringify({ at, level, event, ...printable })
        : `${at.slice(11, 23)} ${level.padEnd(5)} ${event}${renderText(printable)}`,
    );
  };
  return {
    debug: (event, fields) => line("debug", event, fields),
    info: (event, fields) => line("info", event, fields),
    warn: (event, fields) => line("warn", event, fields),
    error: (event, fields) => line("error", event, fields),
    with: (fields) => createLogger(options, { ...bound, ...fields }),
  };
}

/** To stderr: text on a terminal, JSON lines elsewhere. */
export function stderrLogger(level: LogLevel, nowMs: () => number = Date.now): Logger {
  return createLogger({
    level,
    format: process.stderr.isTTY ? "text" : "json",
    write: (text) => process.stderr.write(`${text}\n`),
    nowMs,
  });
}

export const silentLogger: Logger = createLogger({
  level: "error",
  format: "json",
  write: () => {},
  nowMs: () => 0,
});

function redact(fields: LogFields): Record<string, string | number | boolean | null> {
  const printable: Record<string, string | number | boolean | null> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (key === "error") Object.assign(printable, describeError(value));
    else printable[key] = redactValue(value);
  }
  return printable;
}

function redactValue(value: LogValue): string | number | boolean | null {
  if (value === null || typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value === "string") return bounded(value);
  if (value instanceof Secret) return value.toString();
  if (value instanceof Uint8Array) return `#${correlate(value)}`;
  return "[object]";
}

function describeError(error: unknown): Record<string, string> {
  if (error instanceof BridgeError) {
    return {
      code: error.code,
      error: bounded(error.message),
      ...(error.fix ? { fix: bounded(error.fix) } : {}),
      ...(error.cause instanceof Error ? { cause: bounded(error.cause.message) } : {}),
    };
  }
  return {
    code: "invariant",
    error: error instanceof Error ? bounded(error.message) : String(redactValue(error)),
  };
}

function bounded(text: string): string {
  return text.slice(0, LOG_FIELD_CHARS_MAX);
}

/** White space would split a field; a control character from a peer could steer the operator's terminal. */
function quoted(text: string): string {
  if (!/[\s\p{C}]/u.test(text)) return text;
  return JSON.stringify(text).replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`,
  );
}

function renderText(fields: Record<string, string | number | boolean | null>): string {
  return Object.entries(fields)
    .map(([key, value]) => ` ${key}=${typeof value === "string" ? quoted(value) : value}`)
    .join("");
}
