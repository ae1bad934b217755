/** Reading files an operator names: bounded, regular files only, and a failure says what to do. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

export type FileRead =
  | { readonly ok: true; readonly bytes: Uint8Array; readonly mode: number }
  | { readonly ok: false; readonly problem: string; readonly fix: string };

/** At most `bytesMax` bytes; a longer file is refused, not cut. Symbolic links are followed. */
export function readBounded(path: string, bytesMax: number): FileRead {
  let descriptor: number;
  try {
    // Non-blocking, so that a named pipe cannot hold the program up before it is recognised as one.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return explainFault(error);
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) {
      return { ok: false, problem: "is not a regular file", fix: "name a regular file" };
    }
    // The size a file reports is not trusted: it may grow meanwhile, and some report none.
    const buffer = new Uint8Array(bytesMax + 1);
    const length = readFully(descriptor, buffer);
    if (length > bytesMax) {
      buffer.fill(0);
      const problem = `has more than ${bytesMax} bytes`;
      return { ok: false, problem, fix: "name the right file" };
    }
    return { ok: true, bytes: buffer.subarray(0, length), mode: stat.mode };
  } catch (error) {
    return explainFault(error);
  } finally {
    closeSync(descriptor);
  }
}

function readFully(descriptor: number, buffer: Uint8Array): number {
  let length = 0;
  while (length < buffer.length) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (count === 0) break;
    length += count;
  }
  return length;
}

/** A system error as what is wrong with the file and what to do. */
export function explainFault(error: unknown): FileRead & { ok: false } {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return { ok: false, problem: "does not exist", fix: "create it, or correct the path" };
    case "EACCES":
    case "EPERM": {
      const fix = "run as the user it belongs to, or change its owner";
      return { ok: false, problem: "may not be accessed by this user", fix };
    }
    case "EROFS":
      return { ok: false, problem: "lies on a read-only file system", fix: "choose another place" };
    case "EISDIR":
      return { ok: false, problem: "is a directory", fix: "name a regular file" };
    case "ELOOP":
      return { ok: false, problem: "is a circle of symbolic links", fix: "name the file itself" };
    default: {
      const reason = error instanceof Error ? error.message : String(error);
      return { ok: false, problem: `cannot be used: ${reason}`, fix: "correct the path" };
    }
  }
}
