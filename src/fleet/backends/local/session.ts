/**
 * One session channel of the tenant (RFC 4254 section 6): a shell or a command, with or without a terminal, its
 * signals, window changes and exit status. Environment requests are not granted (the environment is fixed), nor
 * are X11, agents and subsystems. There is no SFTP: a file travels through a command's standard input, and a
 * server for it would be a second way in to watch.
 */
import type { Connection, ServerChannel, Session } from "ssh2";
import { LOCAL_SESSIONS_MAX } from "../../../base/limits.ts";
import { runPiped } from "./piped.ts";
import type { Program } from "./program.ts";
import type { Tenant } from "./tenant.ts";
import { runInTerminal, type Screen, screen } from "./terminal.ts";

const SIGNALS = ["ABRT", "ALRM", "HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"] as const;
const CANNOT_START = 126; // what shells answer when a command cannot be run

export function serveSessions(client: Connection, tenant: Tenant): void {
  client.setMaxListeners(2 * LOCAL_SESSIONS_MAX); // every session listens for the connection's end
  client.on("session", (accept, reject) => {
    if (tenant.sessions >= LOCAL_SESSIONS_MAX) return reject();
    serveSession(accept(), client, tenant);
  });
}

function serveSession(session: Session, client: Connection, tenant: Tenant): void {
  let wanted: Screen | undefined;
  let program: Program | undefined;
  let started = false;
  let over = false;
  tenant.sessions += 1;
  const end = (): void => {
    if (over) return;
    over = true;
    tenant.sessions -= 1;
    client.off("close", end);
    program?.hangUp();
  };
  client.on("close", end);
  session.on("close", end);
  session.on("pty", (accept, _reject, info) => {
    wanted = screen(info.term, info.cols, info.rows);
    accept?.();
  });
  session.on("window-change", (accept, _reject, info) => {
    program?.resize(info.cols, info.rows);
    accept?.();
  });
  session.on("signal", (accept, _reject, info) => {
    const name = SIGNALS.find((known) => known === info.name);
    if (name !== undefined) program?.signal(`SIG${name}`);
    accept?.();
  });
  const begin = (accept: () => ServerChannel, ...command: string[]): void => {
    if (started) return; // one program per channel; the library refuses the second by itself
    started = true;
    program = start(accept(), tenant, [tenant.shell, ...command], wanted);
  };
  session.on("shell", (accept) => begin(accept));
  session.on("exec", (accept, _reject, info) => begin(accept, "-c", info.command));
}

function start(
  channel: ServerChannel,
  tenant: Tenant,
  command: readonly string[],
  wanted: Screen | undefined,
): Program | undefined {
  channel.on("error", () => {}); // the connection's end is handled where it is noticed
  let program: Program;
  try {
    program =
      wanted === undefined
        ? runPiped(channel, tenant, command)
        : runInTerminal(channel, tenant, command, wanted);
  } catch (error) {
    tenant.log.warn("program-not-started", { error });
    channel.stderr.write("the machine cannot start another program\n");
    channel.exit(CANNOT_START);
    channel.end();
    return undefined;
  }
  void Promise.all([program.ended, program.drained]).then(([status]) => {
    if (!channel.writable) return;
    if (typeof status === "number") channel.exit(status);
    else channel.exit(status.replace(/^SIG/, ""), false, "");
    channel.end();
  });
  return program;
}
