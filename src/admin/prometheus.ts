/**
 * The Prometheus text format, version 0.0.4 (prometheus.io, "Exposition formats"). A label takes only values from its
 * metric's closed list; anything else is written as `other`, so neither a peer nor an old journal can add a series.
 */
import { assert } from "../base/assert.ts";

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
const PREFIX = "compute_bridge_";
const OTHER = "other";

export interface MetricSpec {
  /** Without the prefix. */
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Every value each label may have. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** Upper bounds, rising, in the metric's unit; histograms only. */
  readonly buckets?: readonly number[];
}

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** One metric with its samples; samples whose labels come to the same are added up. */
export function metricText(spec: MetricSpec, samples: readonly Sample[]): string {
  const sums = new Map<string, number>();
  for (const { labels, value } of samples) {
    const key = labelText(closedLabels(spec, labels));
    sums.set(key, (sums.get(key) ?? 0) + value);
  }
  const name = PREFIX + spec.name;
  return header(spec) + [...sums].map(([key, value]) => line(name, key, value)).join("");
}

export interface Counter {
  add(labels: Labels, amount?: number): void;
  samples(): readonly Sample[];
}

/** A counter that lives as long as the process; what must outlive it stands in the journal's totals. */
export function createCounter(spec: MetricSpec): Counter {
  const series = new Map<string, { labels: Labels; value: number }>();
  return {
    add(labels, amount = 1) {
      const closed = closedLabels(spec, labels);
      const key = labelText(closed);
      const found = series.get(key);
      if (found === undefined) series.set(key, { labels: closed, value: amount });
      else found.value += amount;
    },
    samples: () => [...series.values()],
  };
}

export interface Histogram {
  observe(labels: Labels, value: number): void;
  text(): string;
}

export function createHistogram(spec: MetricSpec): Histogram {
  const { buckets = [] } = spec;
  assert(buckets.length > 0, `histogram ${spec.name} has no buckets`);
  const series = new Map<
    string,
    { labels: Labels; counts: number[]; sum: number; count: number }
  >();
  return {
    observe(labels, value) {
      const closed = closedLabels(spec, labels);
      const key = labelText(closed);
      const one = series.get(key) ?? {
        labels: closed,
        counts: buckets.map(() => 0),
        sum: 0,
        count: 0,
      };
      series.set(key, one);
      const place = buckets.findIndex((bound) => value <= bound);
      if (place >= 0) one.counts[place] = (one.counts[place] ?? 0) + 1;
      one.sum += value;
      one.count += 1;
    },
    text() {
      const name = PREFIX + spec.name;
      const lines = [...series.values()].flatMap(({ labels, counts, sum, count }) => {
        let running = 0;
        const bounded = buckets.map((bound, i) => {
          running += counts[i] ?? 0;
          return line(`${name}_bucket`, labelText({ ...labels, le: String(bound) }), running);
        });
        return [
          ...bounded,
          line(`${name}_bucket`, labelText({ ...labels, le: "+Inf" }), count),
          line(`${name}_sum`, labelText(labels), sum),
          line(`${name}_count`, labelText(labels), count),
        ];
      });
      return header(spec) + lines.join("");
    },
  };
}

function header({ name, type, help }: MetricSpec): string {
  const text = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return `# HELP ${PREFIX}${name} ${text}\n# TYPE ${PREFIX}${name} ${type}\n`;
}

function line(name: string, labels: string, value: number): string {
  return `${name}${labels} ${value === Number.POSITIVE_INFINITY ? "+Inf" : String(value)}\n`;
}

/** Exactly the metric's labels, each from its list. */
function closedLabels(spec: MetricSpec, labels: Labels): Labels {
  return Object.fromEntries(
    Object.entries(spec.labels).map(([name, values]) => {
      const value = labels[name] ?? "";
      return [name, values.includes(value) ? value : OTHER];
    }),
  );
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
