/** What the long-running roles share: their log, and how signals stop them. */
import { type Logger, type LogLevel, stderrLogger } from "../base/log.ts";

/** The first SIGTERM or SIGINT asks for a stop; a second one ends the process at once. */
export function onStopSignal(log: Logger, stop: () => void): void {
  let asked = false;
  const handle = (signal: string): void => {
    if (asked) {
      log.warn("stopped-at-once", { signal });
      process.exit(1);
    }
    asked = true;
    log.info("stopping", { signal });
    stop();
  };
  process.on("SIGTERM", () => handle("SIGTERM"));
  process.on("SIGINT", () => handle("SIGINT"));
}

export function roleLogger(level: LogLevel): Logger {
  return stderrLogger(level);
}

/** A promise and the way to settle it from a signal handler. */
export function untilAsked(): { readonly asked: Promise<void>; readonly ask: () => void } {
  let ask = (): void => {};
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  return { asked, ask };
}
