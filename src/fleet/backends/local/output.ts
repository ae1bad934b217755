/**
 * Writes a program's standard output and error to one SSH channel, one piece at a time. ssh2 1.17 keeps a single
 * "waiting for window" mark for both and never clears the piece that waited: of two writes that wait together one
 * is lost for good, and an error piece that waits sends an old output piece again. So writes take turns here, and
 * what waited before is cleared.
 */
import type { ServerChannel } from "ssh2";

export type Direction = "output" | "errors";

export interface ChannelOutput {
  /** Resolves when the client's window took the piece, or the session is over. */
  write(direction: Direction, piece: Uint8Array): Promise<void>;
  /** From now on pieces are dropped. */
  close(): void;
}

export function createOutput(channel: ServerChannel): ChannelOutput {
  let turn: Promise<void> = Promise.resolve();
  let open = true;
  let settle = (): void => {};
  const send = (direction: Direction, piece: Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      if (!open || !channel.writable) return resolve();
      settle = resolve;
      Object.assign(channel, { _chunk: undefined, _chunkcb: undefined });
      (direction === "output" ? channel : channel.stderr).write(piece, () => resolve());
    });
  return {
    write(direction, piece) {
      turn = turn.then(() => send(direction, piece));
      return turn;
    },
    close() {
      open = false;
      settle();
    },
  };
}
