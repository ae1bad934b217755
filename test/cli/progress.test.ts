/** Progress on a terminal never leaves a copy of a line behind, however long the line and however narrow the terminal. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Progress, plainProgress, terminalProgress } from "../../src/cli/progress.ts";
import { COLUMNS } from "../../src/cli/text.ts";
import { createScreen } from "./screen.ts";

const TIME = /\d+\.\d\d s/;
const LONG =
  "granted in attempt 1: members open the envelope for provider 0123456789ab and then some more";

/** Every note draws the live line again, so copies need no timer to show. */
function redraw(progress: Progress, times: number): void {
  for (let i = 1; i <= times; i += 1) progress.note(`note ${i}`);
}

describe("on a terminal", () => {
  test("a step longer than a row is one cut row while it runs, and whole once it is over", () => {
    const screen = createScreen(80);
    const progress = terminalProgress(screen);
    progress.step(LONG);
    redraw(progress, 5);
    const live = screen.rows();
    expect(live).toHaveLength(6);
    expect(live.at(-1)).toMatch(/^ {2}\S granted in attempt 1: .*… {2}\d+\.\d\d s$/);
    progress.done();
    const rows = screen.rows();
    expect(rows.filter((row) => row.includes("granted in attempt 1"))).toHaveLength(1);
    const [first, ...rest] = rows.slice(5);
    expect(first).toStartWith("  ✓ granted in attempt 1");
    const whole = [first?.slice(4), ...rest.map((row) => row.trim())].join(" ").trim();
    expect(whole.replace(TIME, "").trim()).toBe(LONG);
  });

  test("the next step ends the one before; a failed one says so", () => {
    const screen = createScreen(COLUMNS);
    const progress = terminalProgress(screen);
    progress.step("one");
    progress.step("two");
    progress.fail();
    progress.fail();
    expect(screen.rows().map((row) => row.replace(TIME, "T"))).toEqual([
      "  ✓ one  T",
      "  ✗ two  T",
      "",
    ]);
  });

  test("a long note is wrapped between words", () => {
    const screen = createScreen(40);
    terminalProgress(screen).note(`attestation: ${"word ".repeat(20)}end`);
    for (const row of screen.rows()) expect(row).toMatch(/^( {4}\S.*(\bword|end)$)?$/);
  });

  test("a terminal that does not tell its width counts as one of 80 columns", () => {
    const screen = createScreen(80);
    const progress = terminalProgress({ ...screen, columns: 0 });
    progress.step("x ".repeat(100));
    redraw(progress, 3);
    expect(screen.rows()).toHaveLength(4);
    progress.done();
  });

  test("no text and no width leaves a copy behind", () => {
    const words = fc.array(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 30 }), {
      minLength: 1,
      maxLength: 12,
    });
    const wide = fc.constantFrom("機械", "ⓐ", "é", "🚀🚀🚀");
    fc.assert(
      fc.property(
        fc.tuple(words, wide),
        fc.integer({ min: 24, max: 140 }),
        ([some, extra], columns) => {
          const screen = createScreen(columns);
          const progress = terminalProgress(screen);
          progress.step([...some, extra, ...some].join(" "));
          redraw(progress, 3);
          expect(screen.rows()).toHaveLength(4);
          progress.done();
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe("without a terminal", () => {
  test("notes are plain lines and steps are silent", () => {
    let written = "";
    const stream = { write: (text: string) => (written += text) };
    for (const progress of [plainProgress(stream), terminalProgress({ ...stream, isTTY: false })]) {
      progress.step("a step");
      progress.note(LONG);
      progress.done();
      progress.fail();
    }
    expect(written).toBe(`${LONG}\n${LONG}\n`);
  });
});
