/** Progress of long work, on stderr and only on a terminal: one line per step, with its time. */
export interface Progress {
  /** Starts a step; the one before is done. */
  step(text: string): void;
  /** A line of its own beside the steps. */
  note(text: string): void;
  done(): void;
  fail(): void;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;

export const noProgress: Progress = { step() {}, note() {}, done() {}, fail() {} };

export function terminalProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  if (!stream.isTTY) return noProgress;
  let current: { readonly text: string; readonly startedMs: number } | undefined;
  let frame = 0;
  let timer: Timer | undefined;
  const seconds = (fromMs: number): string =>
    `${((performance.now() - fromMs) / 1000).toFixed(2)} s`;
  const draw = (mark: string, end: string): void => {
    if (current === undefined) return;
    stream.write(
      `\r\x1b[2K  ${mark} ${current.text}  \x1b[2m${seconds(current.startedMs)}\x1b[0m${end}`,
    );
  };
  const finish = (mark: string): void => {
    clearInterval(timer);
    draw(mark, "\n");
    current = undefined;
  };
  return {
    step(text) {
      finish("\x1b[32m✓\x1b[0m");
      current = { text, startedMs: performance.now() };
      timer = setInterval(() => {
        frame += 1;
        draw(FRAMES[frame % FRAMES.length] ?? "", "");
      }, FRAME_MS);
      timer.unref();
      draw(FRAMES[0] ?? "", "");
    },
    note(text) {
      stream.write(`\r\x1b[2K    \x1b[2m${text}\x1b[0m\n`);
      draw(FRAMES[frame % FRAMES.length] ?? "", "");
    },
    done: () => finish("\x1b[32m✓\x1b[0m"),
    fail: () => finish("\x1b[31m✗\x1b[0m"),
  };
}
