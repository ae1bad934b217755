/**
 * Real processes of a test, in one folder of its own. What a test starts is ended by pid when it is over; machines
 * outlive the provider that started them, so they are found by that folder, which nobody else uses.
 */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../support/eventually.ts";
import { type Line, readLines } from "./lines.ts";

/** What a loaded machine may take for anything here; nobody waits so long for something that works. */
export const PATIENCE_MS = 60_000;

export interface Running {
  readonly pid: number;
  /** Standard error so far, line by line. */
  readonly lines: readonly Line[];
  /** Standard output so far. */
  readonly stdout: () => string;
  /** The first line from index `from` on that has this event and, if given, passes `test`. Throws when none comes. */
  line(event: string, from?: number, test?: (line: Line) => boolean): Promise<Line>;
  /** How it ended, after all its output has been read. */
  readonly ended: Promise<Ended>;
  /** Does nothing once it has ended. */
  kill(signal: NodeJS.Signals): void;
}

export interface Ended {
  /** null after a signal. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string;
}

export interface Sandbox {
  /** An absolute path without symbolic links. */
  readonly root: string;
  start(command: readonly string[], options?: StartOptions): Running;
  /** Starts it and waits for its end. */
  run(command: readonly string[], options?: StartOptions): Promise<Ended>;
  /** Every process that works in this sandbox or names it in its arguments, as `pid command`. */
  processes(): string[];
  /** Ends everything by pid, waits until it is gone, and removes the folder. */
  close(): Promise<void>;
}

export function createSandbox(name: string): Sandbox {
  const root = realpathSync(mkdtempSync(join(tmpdir(), `compute-bridge-${name}-`)));
  const started: Running[] = [];
  const start: Sandbox["start"] = (command, options = {}) => {
    const running = spawn(root, command, options);
    started.push(running);
    return running;
  };
  return {
    root,
    start,
    run: (command, options) => start(command, options).ended,
    processes: () => processesIn(root).map(({ pid, command }) => `${pid} ${command}`),
    async close() {
      for (const running of started) running.kill("SIGKILL");
      await Promise.all(started.map((running) => running.ended));
      await eventually(`nothing runs in ${root}`, () => {
        const left = processesIn(root);
        for (const { pid } of left) killPid(pid);
        return left.length === 0;
      });
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function spawn(root: string, command: readonly string[], options: StartOptions): Running {
  const { stdin } = options;
  const child = Bun.spawn([...command], {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdin: stdin === undefined ? "ignore" : new TextEncoder().encode(stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
  let stdout = "";
  const takeStdout = async (): Promise<void> => {
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) stdout += chunk;
  };
  const err = readLines(child.stderr);
  const ended = Promise.all([child.exited, takeStdout(), err.done]).then(
    (): Ended => ({
      exitCode: child.signalCode === null ? child.exitCode : null,
      signal: child.signalCode === null ? null : String(child.signalCode),
      stdout,
      stderr: err.text(),
    }),
  );
  return {
    pid: child.pid,
    lines: err.lines,
    stdout: () => stdout,
    ended,
    kill(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    },
    async line(event, from = 0, test = () => true) {
      const look = (): Line | undefined =>
        err.lines.slice(from).find((line) => line.event === event && test(line));
      const what = `${command.slice(0, 3).join(" ")} says ${event}`;
      try {
        return await eventually(
          what,
          () => {
            const over = child.exitCode !== null || child.signalCode !== null;
            const found = look();
            if (found === undefined && over) throw new Error(`${what}: it has ended`);
            return found;
          },
          PATIENCE_MS,
        );
      } catch (error) {
        throw new Error(`${error}\n${err.text().slice(-2000)}`);
      }
    },
  };
}

interface Found {
  readonly pid: number;
  readonly command: string;
}

function processesIn(root: string): Found[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      const command = readProc(() => readFileSync(`/proc/${name}/cmdline`, "utf8"));
      const cwd = readProc(() => readlinkSync(`/proc/${name}/cwd`));
      const inside = cwd === root || cwd.startsWith(`${root}/`) || command.includes(root);
      return inside ? [{ pid: Number(name), command: command.replaceAll("\0", " ").trim() }] : [];
    });
}

/** Empty for a process that has ended meanwhile, is a zombie, or belongs to somebody else. */
function readProc(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

function killPid(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
