/** Figures from samples. Nearest-rank percentiles, so that every figure is one that was measured. */

export function percentile(samples: readonly number[], p: number): number {
  if (samples.length === 0) throw new Error("no samples");
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil((p / 100) * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

export function median(samples: readonly number[]): number {
  return percentile(samples, 50);
}

export function sum(samples: readonly number[]): number {
  return samples.reduce((total, sample) => total + sample, 0);
}

export function mean(samples: readonly number[]): number {
  return sum(samples) / samples.length;
}

export function rounded(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
