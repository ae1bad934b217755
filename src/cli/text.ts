/** Text for a terminal, measured in columns: wide characters take two, colours none. */

/** What help is wrapped to, and what a terminal has that does not say. */
export const COLUMNS = 80;

/** Lines of at most `columns`, broken between words; a word that is longer stays whole. */
export function wrapText(text: string, columns: number): string[] {
  return wrapWords(text.split(" "), columns);
}

/** As wrapText, for words that may hold spaces of their own. */
export function wrapWords(words: readonly string[], columns: number): string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const word of words) {
    const longer: string = line === undefined ? word : `${line} ${word}`;
    if (line !== undefined && Bun.stringWidth(longer) > columns) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return line === undefined ? lines : [...lines, line];
}

/** The text in one line of at most `columns`; what is left out becomes an ellipsis. */
export function cutText(text: string, columns: number): string {
  if (Bun.stringWidth(text) <= columns) return text;
  let cut = "";
  for (const char of text) {
    if (Bun.stringWidth(cut + char) > columns - 1) break;
    cut += char;
  }
  return columns < 1 ? "" : `${cut}…`;
}

/** `left  right`, the right side wrapped beside the left one. */
export function twoColumns(
  rows: readonly (readonly [left: string, right: string])[],
  columns = COLUMNS,
): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.flatMap(([left, right]) =>
    wrapText(right, columns - width - 4).map(
      (line, i) => `  ${(i === 0 ? left : "").padEnd(width)}  ${line}`,
    ),
  );
}
