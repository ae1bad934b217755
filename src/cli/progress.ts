/**
 * Progress of long work, on stderr. On a terminal: one live line per step, with its time, and notes between them.
 * Elsewhere notes are plain lines, and steps are silent.
 */
import { COLUMNS, cutText, wrapText } from "./text.ts";

export interface Progress {
  /** Starts a step; the one before is done. */
  step(text: string): void;
  /** A line of its own beside the steps. */
  note(text: string): void;
  done(): void;
  fail(): void;
}

/** What this module needs of a stream. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
const INDENT = 4;

export function plainProgress(stream: ProgressStream = process.stderr): Progress {
  return { step() {}, note: (text) => void stream.write(`${text}\n`), done() {}, fail() {} };
}

export function terminalProgress(stream: ProgressStream = process.stderr): Progress {
  if (!stream.isTTY) return plainProgress(stream);
  let current: { readonly text: string; readonly startedMs: number } | undefined;
  let frame = 0;
  let timer: Timer | undefined;
  // One column stays free: a line that fills the last one has wrapped for some terminals.
  const room = (): number => Math.max(1, (stream.columns || COLUMNS) - INDENT - 1);
  const clear = (): void => void stream.write("\r\x1b[2K");
  /** Never more than one row, which is all that `clear` takes back. */
  const draw = (): void => {
    if (current === undefined) return;
    const time = `  ${seconds(current.startedMs)}`;
    const text = cutText(current.text, room() - time.length);
    clear();
    stream.write(`  ${FRAMES[frame % FRAMES.length] ?? ""} ${text}${dim(time)}`);
  };
  const finish = (mark: string): void => {
    clearInterval(timer);
    if (current === undefined) return;
    clear();
    stream.write(finished(mark, current.text, seconds(current.startedMs), room()));
    current = undefined;
  };
  return {
    step(text) {
      finish("\x1b[32m✓\x1b[0m");
      current = { text, startedMs: performance.now() };
      timer = setInterval(() => {
        frame += 1;
        draw();
      }, FRAME_MS);
      timer.unref();
      draw();
    },
    note(text) {
      clear();
      for (const line of wrapText(text, room()))
        stream.write(`${" ".repeat(INDENT)}${dim(line)}\n`);
      draw();
    },
    done: () => finish("\x1b[32m✓\x1b[0m"),
    fail: () => finish("\x1b[31m✗\x1b[0m"),
  };
}

/** The whole text of a step that is over: it is not drawn again, so it may take several rows. */
function finished(mark: string, text: string, time: string, room: number): string {
  const lines = wrapText(text, room);
  const last = lines.at(-1) ?? "";
  if (Bun.stringWidth(last) + 2 + time.length > room) lines.push(dim(time));
  else lines[lines.length - 1] = `${last}  ${dim(time)}`;
  return lines.map((line, i) => `${i === 0 ? `  ${mark} ` : " ".repeat(INDENT)}${line}\n`).join("");
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(2)} s`;
}

function dim(text: string): string {
  return `\x1b[2m${text}\x1b[0m`;
}
