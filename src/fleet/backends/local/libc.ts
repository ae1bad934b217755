/** The few calls of the C library the runtime has no name for. Linux with glibc; loaded by the machine only. */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { must } from "../../../base/assert.ts";
import { BridgeError } from "../../../base/errors.ts";

const { i32, u64, pointer } = FFIType;
const libc = dlopen("libc.so.6", {
  prctl: { args: [i32, u64, u64, u64, u64], returns: i32 },
  waitpid: { args: [i32, pointer, i32], returns: i32 },
  pipe2: { args: [pointer, i32], returns: i32 },
  tcflow: { args: [i32, i32], returns: i32 },
  getpagesize: { args: [], returns: i32 },
}).symbols;

const PR_SET_CHILD_SUBREAPER = 36; // <linux/prctl.h>
const WNOHANG = 1; // <bits/waitflags.h>
const O_CLOEXEC = 0o2000000; // <bits/fcntl-linux.h>
const TCOOFF = 0; // <bits/termios.h>
const TCOON = 1;

/** From now on a descendant whose parent ends becomes our child, and not init's. See prctl(2). */
export function becomeSubreaper(): boolean {
  return libc.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n) === 0;
}

/** Takes the exit status of one child that has ended, which adds its CPU time to our children's. */
export function reap(pid: number): void {
  libc.waitpid(pid, null, WNOHANG);
}

export interface Pipe {
  readonly read: number;
  readonly write: number;
}

/** A real pipe: the runtime's own are sockets, which a program cannot open again as /dev/stdin or /dev/stderr. */
export function openPipe(): Pipe {
  const ends = new Int32Array(2);
  if (libc.pipe2(ptr(ends), O_CLOEXEC) !== 0) {
    throw new BridgeError("unreachable", "no file descriptors are left for a pipe");
  }
  return { read: must(ends[0], "two ends"), write: must(ends[1], "two ends") };
}

/** Makes whoever writes to this terminal wait, or go on. See tcflow(3). */
export function holdOutput(terminal: number, hold: boolean): void {
  libc.tcflow(terminal, hold ? TCOOFF : TCOON);
}

export const PAGE_BYTES = libc.getpagesize();
