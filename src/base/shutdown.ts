/** One stop signal, many listeners, a deadline. Stages run in reverse order of registration. */
import { type Clock, systemClock } from "./clock.ts";
import type { Logger } from "./log.ts";

type Stage = { readonly name: string; readonly stop: () => Promise<void> | void };

export class Shutdown {
  readonly #controller = new AbortController();
  readonly #stages: Stage[] = [];
  readonly #clock: Clock;
  #running: Promise<readonly string[]> | undefined;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What is opened last is closed first. */
  defer(name: string, stop: Stage["stop"]): void {
    this.#stages.push({ name, stop });
  }

  /** Idempotent. Returns the names of stages that failed or overran `stageMaxMs`. */
  run(stageMaxMs: number, log?: Logger): Promise<readonly string[]> {
    this.#running ??= this.#stopAll(stageMaxMs, log);
    return this.#running;
  }

  async #stopAll(stageMaxMs: number, log?: Logger): Promise<readonly string[]> {
    this.#controller.abort();
    const failed: string[] = [];
    for (const stage of this.#stages.reverse()) {
      const deadline = new AbortController(); // a timer left running would hold the process open
      const ok = await Promise.race([
        Promise.resolve()
          .then(() => stage.stop())
          .then(() => true)
          .catch((error: unknown) => {
            log?.warn("shutdown-stage-failed", { stage: stage.name, error });
            return false;
          }),
        this.#clock.sleep(stageMaxMs, deadline.signal).then(() => false),
      ]);
      deadline.abort();
      if (!ok) failed.push(stage.name);
    }
    return failed;
  }
}
