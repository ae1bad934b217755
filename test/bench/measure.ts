/** What a measure is, and what it says: figures with their unit in the name, and how they stand against their targets. */

export type Figures = { readonly [name: string]: number | string | boolean | null };

export interface Target {
  readonly figure: string;
  readonly atMost: number;
  readonly actual: number;
  readonly ok: boolean;
}

export interface Findings {
  readonly figures: Figures;
  readonly targets: readonly Target[];
  /** What must hold whatever the speed; a sentence for each that does not. */
  readonly broken: readonly string[];
}

export interface Measure {
  readonly name: string;
  readonly title: string;
  /** `say` is for the person who waits. */
  run(say: (line: string) => void): Promise<Findings>;
}

export function atMost(figure: string, actual: number, limit: number): Target {
  return { figure, atMost: limit, actual, ok: actual <= limit };
}

export function showFindings({ figures, targets, broken }: Findings): string[] {
  const width = Math.max(...Object.keys(figures).map((name) => name.length));
  return [
    ...Object.entries(figures).map(([name, value]) => {
      const target = targets.find((one) => one.figure === name);
      const judged =
        target === undefined ? "" : `   target ${target.atMost}: ${target.ok ? "ok" : "MISSED"}`;
      return `  ${name.padEnd(width)}  ${value}${judged}`;
    }),
    ...broken.map((sentence) => `  BROKEN: ${sentence}`),
  ];
}
