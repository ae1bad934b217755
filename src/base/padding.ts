/** Padding to one size, so that a length says nothing: length 2 (big endian) ‖ body ‖ zeros. */
import { concat } from "./bytes.ts";
import { BridgeError } from "./errors.ts";

/** Throws `too-large`; `what` names the thing in the error. */
export function pad(body: Uint8Array, size: number, what: string, fix?: string): Uint8Array {
  if (body.length + 2 > size) {
    const details = fix === undefined ? {} : { fix };
    throw new BridgeError(
      "too-large",
      `${what} has ${body.length} bytes, ${size - 2} fit`,
      details,
    );
  }
  const padded = new Uint8Array(size);
  padded.set(concat(new Uint8Array([body.length >> 8, body.length & 0xff]), body));
  return padded;
}

/** Throws `malformed` unless size and zeros are exactly as `pad` makes them. */
export function unpad(padded: Uint8Array, size: number, what: string): Uint8Array {
  const length = ((padded[0] ?? 0) << 8) | (padded[1] ?? 0);
  if (
    padded.length !== size ||
    length + 2 > size ||
    padded.subarray(2 + length).some((byte) => byte !== 0)
  ) {
    throw new BridgeError("malformed", `${what} is not padded to ${size} bytes with zeros`);
  }
  return padded.subarray(2, 2 + length);
}
