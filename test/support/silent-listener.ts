/**
 * A port on which connecting never ends: a listener whose queue is full and who accepts nobody, so the kernel drops
 * every further SYN. What an unreachable host behind a firewall looks like, on loopback.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { connect, type Socket } from "node:net";

const AF_INET = 2;
const SOCK_STREAM = 1;

export interface SilentListener {
  readonly port: number;
  close(): void;
}

export async function silentListener(): Promise<SilentListener> {
  const libc = dlopen("libc.so.6", {
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    listen: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    getsockname: { args: [FFIType.i32, FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
    close: { args: [FFIType.i32], returns: FFIType.i32 },
  }).symbols;
  const fd = libc.socket(AF_INET, SOCK_STREAM, 0);
  // sockaddr_in: family (host order), port 0, 127.0.0.1
  const address = new Uint8Array([AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  if (libc.bind(fd, ptr(address), 16) !== 0 || libc.listen(fd, 0) !== 0)
    throw new Error("cannot listen");
  libc.getsockname(fd, ptr(address), ptr(new Uint32Array([16])));
  const port = ((address[2] ?? 0) << 8) | (address[3] ?? 0);
  const fillers: Socket[] = [];
  for (let hangs = false; !hangs; ) {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => {});
    fillers.push(socket);
    hangs = await Promise.race([
      new Promise<boolean>((resolve) => socket.once("connect", () => resolve(false))),
      Bun.sleep(200).then(() => true),
    ]);
  }
  return {
    port,
    close() {
      for (const socket of fillers) socket.destroy();
      libc.close(fd);
    },
  };
}
