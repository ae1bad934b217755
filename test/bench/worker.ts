/**
 * Measured and measuring parts run in processes of their own. A worker is a script that calls `serve` with a table of
 * calls; whoever started it calls them by name. A worker that dies fails every call to it.
 */
import { join } from "node:path";

/** What a worker answers: one argument in, anything that can be cloned out. */
export type Calls = { readonly [name: string]: (argument: never) => unknown };

export interface Worker<C extends Calls> {
  readonly pid: number;
  call<K extends keyof C & string>(
    name: K,
    ...argument: Parameters<C[K]>
  ): Promise<Awaited<ReturnType<C[K]>>>;
  /** Ends the process and waits until it is gone. */
  end(): Promise<void>;
}

interface Question {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: string };

/** Set: every worker writes a CPU profile (.cpuprofile, for a browser's developer tools) into this folder as it ends. */
const profiles = process.env.BENCH_PROFILE_DIR;
const END_MS = 10_000;

export function startWorker<C extends Calls>(script: string): Worker<C> {
  const flags = profiles === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profiles}`];
  const waiting = new Map<number, (answer: Answer) => void>();
  let asked = 0;
  let ended = false;
  const child = Bun.spawn([process.execPath, ...flags, join(import.meta.dir, script)], {
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    serialization: "advanced",
    ipc(message: Answer) {
      waiting.get(message.id)?.(message);
      waiting.delete(message.id);
    },
    onExit(_process, exitCode, signal) {
      ended = true;
      for (const [id, settle] of waiting)
        settle({ id, failure: `${script} ended: ${exitCode ?? signal}` });
    },
  });
  return {
    pid: child.pid,
    async call(name, ...[argument]) {
      if (ended) throw new Error(`${script} has ended`);
      asked += 1;
      const id = asked;
      const answer = await new Promise<Answer>((resolve) => {
        waiting.set(id, resolve);
        child.send({ id, name, argument } satisfies Question);
      });
      if ("failure" in answer) throw new Error(`${script} ${name}: ${answer.failure}`);
      return answer.value as never;
    },
    async end() {
      if (!ended) child.disconnect();
      const kill = setTimeout(() => child.kill("SIGKILL"), END_MS);
      await child.exited;
      clearTimeout(kill);
    },
  };
}

/** The worker's side. It ends with the process that started it. */
export function serve(calls: Calls): void {
  process.on("disconnect", () => process.exit(0));
  process.on("message", (question: Question) => {
    void answer(calls, question).then((reply) => process.send?.(reply));
  });
}

async function answer(calls: Calls, { id, name, argument }: Question): Promise<Answer> {
  try {
    const call = calls[name];
    if (call === undefined) throw new Error("there is no such call");
    return { id, value: await call(argument as never) };
  } catch (error) {
    return { id, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
