/** Requests and answers take turns on a stream, length-prefixed. An answer is 0 ‖ body, or 1 ‖ {code, message}. */
import type { Stream } from "@libp2p/interface";
import { lpStream } from "@libp2p/utils";
import { concat } from "../base/bytes.ts";
import { decodeCanonical, encodeCanonical } from "../base/canonical.ts";
import { BridgeError, ERROR_CODES, type ErrorCode } from "../base/errors.ts";
import { ERROR_TEXT_CHARS_MAX, IDLE_STREAM_MS, REQUEST_MS_MAX } from "../base/limits.ts";

const OK = new Uint8Array([0]);
const FAILED = new Uint8Array([1]);

/** Codes a peer may answer with; anything else becomes `refused-by-peer`. */
const REMOTE_CODES = new Set<string>([
  ...ERROR_CODES.record,
  ...ERROR_CODES.committee,
  ...ERROR_CODES.encoding,
  "rate-limited",
]);

/**
 * Answers one request after another until the peer closes the stream. Throws when one cannot be read or answered, or
 * does not come for IDLE_STREAM_MS.
 */
export async function answerAll(
  stream: Stream,
  requestBytesMax: number,
  respond: (body: Uint8Array) => Promise<Uint8Array> | Uint8Array,
): Promise<void> {
  const frames = lpStream(stream, { maxDataLength: requestBytesMax });
  for (;;) {
    const body = await within(IDLE_STREAM_MS, (signal) => nextRequest(frames, signal));
    if (body === undefined) break;
    const bytes = await writeAnswer(() => respond(body));
    await within(REQUEST_MS_MAX, (signal) => frames.write(bytes, { signal }));
  }
  await within(REQUEST_MS_MAX, (signal) => stream.close({ signal }));
}

/** undefined when the peer has closed the stream. */
async function nextRequest(
  frames: ReturnType<typeof lpStream>,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    return (await frames.read({ signal })).subarray();
  } catch (error) {
    if (error instanceof Error && error.name === "UnexpectedEOFError") return undefined;
    throw error;
  }
}

/** AbortSignal.timeout() would leave a minute's timers behind at every request. */
async function within<T>(ms: number, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ms);
  try {
    return await act(controller.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** The answer's bytes, whatever carries them. What is thrown and is no BridgeError passes through: no answer. */
export async function writeAnswer(
  respond: () => Promise<Uint8Array> | Uint8Array,
): Promise<Uint8Array> {
  try {
    return concat(OK, await respond());
  } catch (error) {
    if (!(error instanceof BridgeError)) throw error;
    const message = error.message.slice(0, ERROR_TEXT_CHARS_MAX);
    return concat(FAILED, encodeCanonical({ code: error.code, message }));
  }
}

/** The answer's body. Throws the error it carries instead. */
export function readAnswer(answer: Uint8Array): Uint8Array {
  if (answer[0] === 0) return answer.subarray(1);
  throw remoteError(answer.subarray(1));
}

function remoteError(bytes: Uint8Array): BridgeError {
  const value = decodeCanonical(bytes, 4 * ERROR_TEXT_CHARS_MAX + 256);
  const { code, message } = (value ?? {}) as { code?: unknown; message?: unknown };
  const text =
    typeof message === "string" ? message.slice(0, ERROR_TEXT_CHARS_MAX) : "no reason given";
  if (typeof code === "string" && REMOTE_CODES.has(code)) {
    return new BridgeError(code as ErrorCode, `the peer answered: ${text}`);
  }
  return new BridgeError("refused-by-peer", `the peer answered ${String(code)}: ${text}`);
}
