/** A command without a terminal: three pipes to the channel, each no faster than its other end takes it. */
import { closeSync } from "node:fs";
import type { ServerChannel } from "ssh2";
import { openPipe } from "./libc.ts";
import { type ChannelOutput, createOutput, type Direction } from "./output.ts";
import { type Program, signalGroup } from "./program.ts";
import { adopt, type Tenant } from "./tenant.ts";

/** Throws when the command cannot be started. */
export function runPiped(
  channel: ServerChannel,
  tenant: Tenant,
  command: readonly string[],
): Program {
  const [input, output, errors] = [openPipe(), openPipe(), openPipe()];
  // The runtime's streams hold descriptors of their own from here on.
  const ours = {
    input: Bun.file(input.write).writer(),
    output: Bun.file(output.read).stream().getReader(),
    errors: Bun.file(errors.read).stream().getReader(),
  };
  let child: Bun.Subprocess;
  try {
    child = Bun.spawn(tenant.launcher.wrap(command), {
      cwd: tenant.home,
      env: tenant.environment,
      stdio: [input.read, output.write, errors.write],
      detached: true, // its own session and group, so that a signal reaches all of it
    });
  } finally {
    for (const pipe of [input, output, errors]) {
      closeSync(pipe.read);
      closeSync(pipe.write);
    }
  }
  adopt(tenant, child);
  const out = createOutput(channel);
  const stopInput = pumpInput(channel, ours.input);
  const drained = Promise.all([
    pumpOutput(out, "output", ours.output),
    pumpOutput(out, "errors", ours.errors),
  ]).then(() => {});
  return {
    ended: child.exited.then(() => child.signalCode ?? child.exitCode ?? 0),
    drained, // as in sshd, not before the last holder of the pipes has ended
    signal: (name) => signalGroup(child, name),
    resize: () => {},
    hangUp() {
      stopInput();
      out.close();
      void ours.output.cancel();
      void ours.errors.cancel();
    },
  };
}

/** Returns what closes the program's input early. */
function pumpInput(channel: ServerChannel, sink: Bun.FileSink): () => void {
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    void Promise.resolve(sink.end()).catch(() => {}); // fails as the write before it did
    channel.resume(); // what still comes is dropped, so that the session can end
  };
  channel.on("data", (piece: Uint8Array) => {
    if (!open) return;
    channel.pause();
    write(sink, piece).then(() => channel.resume(), close);
  });
  channel.on("end", close);
  return close;
}

async function write(sink: Bun.FileSink, piece: Uint8Array): Promise<void> {
  await sink.write(piece);
  await sink.flush();
}

async function pumpOutput(
  out: ChannelOutput,
  direction: Direction,
  reader: { read(): Promise<{ done: boolean; value?: Uint8Array | undefined }> },
): Promise<void> {
  for (;;) {
    const next = await reader.read().catch(() => undefined); // a pipe that cannot be read has ended
    if (next === undefined || next.done || next.value === undefined) break;
    await out.write(direction, next.value);
  }
}
