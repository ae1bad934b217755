/** A terminal as far as progress needs one: columns, wrapping at the edge, carriage return, clearing a row, colours. */
import type { ProgressStream } from "../../src/cli/progress.ts";

export interface Screen extends ProgressStream {
  columns: number;
  /** What a person sees, row by row, without trailing blanks. */
  rows(): string[];
}

export function createScreen(columns: number): Screen {
  const rows: string[][] = [[]];
  let column = 0;
  const current = (): string[] => rows[rows.length - 1] ?? [];
  const newRow = (): void => {
    rows.push([]);
    column = 0;
  };
  const put = (char: string): void => {
    const width = Bun.stringWidth(char);
    if (column + width > screen.columns) newRow();
    current()[column] = char;
    for (let i = 1; i < width; i += 1) current()[column + i] = "";
    column += width;
  };
  const screen: Screen = {
    isTTY: true,
    columns,
    write(text) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is being told apart
      for (const [token] of text.matchAll(/\x1b\[[0-9;]*[a-zA-Z]|./gsu)) {
        if (token === "\r") column = 0;
        else if (token === "\n") newRow();
        else if (token === "\x1b[2K") rows[rows.length - 1] = [];
        else if (!token.startsWith("\x1b")) put(token);
      }
    },
    rows: () =>
      rows.map((row) =>
        Array.from(row, (char) => char ?? " ")
          .join("")
          .trimEnd(),
      ),
  };
  return screen;
}
