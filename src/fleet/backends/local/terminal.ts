/** A shell or command on a pseudo-terminal (RFC 4254 section 6.2). */
import { closeSync, constants, openSync, readlinkSync } from "node:fs";
import type { ServerChannel } from "ssh2";
import { LOCAL_TERMINAL_DRAIN_MS } from "../../../base/limits.ts";
import { holdOutput } from "./libc.ts";
import { type Program, signalGroup } from "./program.ts";
import { adopt, type Tenant } from "./tenant.ts";

export interface Screen {
  readonly name: string;
  readonly columns: number;
  readonly rows: number;
}

const SIZE_MAX = 4096;
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._+-]{0,63}$/;

/** What the client asked for, within what a terminal can be. */
export function screen(name: string, columns: number, rows: number): Screen {
  return {
    name: NAME.test(name) ? name : "dumb",
    columns: clamp(columns, 80),
    rows: clamp(rows, 24),
  };
}

/** Throws when the command cannot be started. */
export function runInTerminal(
  channel: ServerChannel,
  tenant: Tenant,
  command: readonly string[],
  wanted: Screen,
): Program {
  let closed = (): void => {};
  const drained = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const flow = createFlow(channel);
  const child = Bun.spawn(tenant.launcher.wrap(command), {
    cwd: tenant.home,
    env: { ...tenant.environment, TERM: wanted.name },
    terminal: {
      cols: wanted.columns,
      rows: wanted.rows,
      name: wanted.name,
      data: (_, piece) => flow.output(piece, child.pid),
      exit: () => closed(),
    },
  });
  adopt(tenant, child);
  const terminal = child.terminal;
  channel.on("data", (piece: Uint8Array) => {
    if (terminal?.closed === false) terminal.write(piece);
  });
  const end = (): void => {
    flow.release();
    terminal?.close(); // the kernel hangs up whatever still runs on it
    closed();
  };
  return {
    ended: child.exited.then(() => child.signalCode ?? child.exitCode ?? 0),
    // Output of what the shell left behind on its terminal is not waited for, as in sshd.
    drained: child.exited
      .then(() => Promise.race([drained, tenant.clock.sleep(LOCAL_TERMINAL_DRAIN_MS)]))
      .then(end),
    signal: (name) => signalGroup(child, name),
    resize(columns, rows) {
      if (terminal?.closed === false) terminal.resize(clamp(columns, 80), clamp(rows, 24));
    },
    hangUp: end,
  };
}

/**
 * Output no faster than the client takes it. The runtime's terminal cannot be paused, so the kernel is asked to
 * hold the writers on the other side of it.
 */
function createFlow(channel: ServerChannel): {
  output: (piece: Uint8Array, pid: number) => void;
  release: () => void;
} {
  let held: number | undefined;
  const release = (): void => {
    if (held === undefined) return;
    holdOutput(held, false);
    closeSync(held);
    held = undefined;
  };
  channel.on("drain", release);
  return {
    output(piece, pid) {
      if (!channel.writable) return;
      if (channel.write(piece) || held !== undefined) return;
      held = openTerminalOf(pid);
      if (held !== undefined) holdOutput(held, true);
    },
    release,
  };
}

/** Undefined when the program has ended and holds no terminal any more. */
function openTerminalOf(pid: number): number | undefined {
  try {
    const path = readlinkSync(`/proc/${pid}/fd/0`);
    if (!path.startsWith("/dev/pts/")) return undefined;
    return openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

function clamp(size: number, fallback: number): number {
  return size >= 1 ? Math.min(size, SIZE_MAX) : fallback; // RFC 4254: zero means unknown
}
