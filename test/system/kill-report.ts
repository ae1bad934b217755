/** What a row found, and the table of all rows. */

export interface Finding {
  readonly row: string;
  /** What was killed, and when. */
  readonly kill: string;
  /** What the dead provider's journal, or the dead member's ballot, held. */
  readonly onDisk: string;
  readonly killed: readonly number[];
  readonly after: readonly number[];
  readonly machines: string;
  readonly ending: string;
  /** Empty when all is well. */
  readonly problems: readonly string[];
}

/** A row that could not be run to its end. */
export function broken(row: string, error: unknown): Finding {
  const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    ...{ row, kill: "", onDisk: "", killed: [], after: [], machines: "", ending: "not reached" },
    problems: [problem],
  };
}

const COLUMNS = ["row", "killed", "on disk", "pid killed", "pid after", "machines", "ending"];

export function table(findings: readonly Finding[]): string {
  const rows = findings.map((one) => [
    one.row,
    one.kill,
    one.onDisk,
    one.killed.join(" "),
    one.after.join(" "),
    one.machines,
    one.problems.length === 0 ? one.ending : `${one.ending}  WRONG`,
  ]);
  const all = [COLUMNS, ...rows];
  const widths = COLUMNS.map((_, at) => Math.max(...all.map((cells) => (cells[at] ?? "").length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd();
  return [
    line(COLUMNS),
    widths.map((width) => "-".repeat(width)).join("  "),
    ...rows.map(line),
  ].join("\n");
}
