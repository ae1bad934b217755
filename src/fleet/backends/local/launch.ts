/** Starts the machine process and waits until it listens. */
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../base/clock.ts";
import { BridgeError } from "../../../base/errors.ts";
import {
  LOCAL_LOG_TAIL_CHARS,
  LOCAL_START_MS_MAX,
  LOCAL_START_POLL_MS,
} from "../../../base/limits.ts";
import { FILES } from "./records.ts";
import type { Stored } from "./store.ts";

/** Nothing of our own environment: BUN_OPTIONS alone would run foreign code in the machine. */
const ENVIRONMENT = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/nonexistent",
  LANG: "C.UTF-8",
};

/** In a session of its own and with files for output, so that it outlives us. Throws `bug`. */
export function launch(command: readonly string[], folder: string): Bun.Subprocess {
  const log = openSync(join(folder, FILES.log), "a", 0o600);
  try {
    const child = Bun.spawn([...command, folder], {
      cwd: folder,
      env: ENVIRONMENT,
      stdio: ["ignore", log, log],
      detached: true,
    });
    child.unref();
    return child;
  } catch (cause) {
    throw new BridgeError("bug", "the machine program cannot be started", { cause });
  } finally {
    closeSync(log);
  }
}

/**
 * The machine as it is once it listens. `child` is the process we started, if we did; it may find that another one
 * was first. Throws `capacity` when no port was free, `machine-ended`, `bug` when the program failed, and
 * `unknown-outcome` when it took too long or `signal` fired.
 */
export async function untilReady(
  load: () => Stored | undefined,
  child: Bun.Subprocess | undefined,
  clock: Clock,
  signal: AbortSignal,
): Promise<Stored & { readonly port: number }> {
  const endMs = clock.monotonicMs() + LOCAL_START_MS_MAX;
  for (;;) {
    const childEnded = child !== undefined && (child.exitCode ?? child.signalCode) !== null;
    const machine = load();
    if (machine === undefined || machine.endingMs !== undefined) throw ended("it was asked to end");
    if (machine.exit?.failure === "no-port") {
      throw new BridgeError("capacity", "no port is free for another local machine");
    }
    if (machine.exit !== undefined) throw ended(`its end was "${machine.exit.cause}"`);
    if (machine.alive && machine.port !== undefined) return { ...machine, port: machine.port };
    if (!machine.alive && (machine.process !== undefined || childEnded)) throw failed(machine);
    if (clock.monotonicMs() >= endMs || signal.aborted) {
      throw new BridgeError("unknown-outcome", "the machine program has not come up yet", {
        fix: `see ${join(machine.folder, FILES.log)}`,
      });
    }
    await clock.sleep(LOCAL_START_POLL_MS, signal);
  }
}

export function ended(why: string): BridgeError {
  return new BridgeError("machine-ended", `the machine of this order is over: ${why}`);
}

function failed(machine: Stored): BridgeError {
  const path = join(machine.folder, FILES.log);
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  const tail = text.trim().slice(-LOCAL_LOG_TAIL_CHARS);
  return new BridgeError("bug", `the machine program failed: ${tail}`, { fix: `see ${path}` });
}
