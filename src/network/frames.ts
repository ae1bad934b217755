/** One request and one answer per stream, length-prefixed. An answer is 0 ‖ body, or 1 ‖ {code, message}. */
import type { Stream } from "@libp2p/interface";
import { lpStream } from "@libp2p/utils";
import { concat } from "../base/bytes.ts";
import { decodeCanonical, encodeCanonical } from "../base/canonical.ts";
import { BridgeError, ERROR_CODES, type ErrorCode } from "../base/errors.ts";
import { ANSWER_BYTES_MAX, ERROR_TEXT_CHARS_MAX } from "../base/limits.ts";

const OK = new Uint8Array([0]);
const FAILED = new Uint8Array([1]);

/** Codes a peer may answer with; anything else becomes `refused-by-peer`. */
const REMOTE_CODES = new Set<string>([
  ...ERROR_CODES.record,
  ...ERROR_CODES.committee,
  ...ERROR_CODES.encoding,
  "rate-limited",
]);

export async function exchange(
  stream: Stream,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const frames = lpStream(stream, { maxDataLength: ANSWER_BYTES_MAX });
  await frames.write(body, { signal });
  const answer = (await frames.read({ signal })).subarray();
  await stream.close({ signal });
  return readAnswer(answer);
}

export async function answer(
  stream: Stream,
  requestBytesMax: number,
  signal: AbortSignal,
  respond: (body: Uint8Array) => Promise<Uint8Array> | Uint8Array,
): Promise<void> {
  const frames = lpStream(stream, { maxDataLength: requestBytesMax });
  const body = (await frames.read({ signal })).subarray();
  await frames.write(await writeAnswer(() => respond(body)), { signal });
  await stream.close({ signal });
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
