/**
 * A strict reader of the Prometheus text format, written from its specification and not from our writer: it throws on
 * anything a server would refuse, or would take with a warning.
 */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly series: readonly Series[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;

export function readExposition(text: string): Map<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const families = new Map<string, { type: string; help: string; series: Series[] }>();
  const seen = new Set<string>();
  let current = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment !== null) {
      const [, what, name = "", rest = ""] = comment;
      if (!NAME.test(name)) throw new Error(`bad name: ${line}`);
      if (what === "HELP") {
        if (families.has(name)) throw new Error(`declared twice: ${name}`);
        families.set(name, { type: "", help: rest, series: [] });
        current = name;
      } else {
        const family = families.get(name);
        if (family === undefined || name !== current || family.series.length > 0) {
          throw new Error(`TYPE out of place: ${line}`);
        }
        family.type = rest;
      }
      continue;
    }
    const series = readSample(line);
    const family = families.get(current);
    if (family === undefined || !belongs(series.name, current, family.type)) {
      throw new Error(`sample outside its family: ${line}`);
    }
    const id = `${series.name}${JSON.stringify(Object.entries(series.labels).sort())}`;
    if (seen.has(id)) throw new Error(`the same series twice: ${line}`);
    seen.add(id);
    family.series.push(series);
  }
  for (const [name, family] of families) check(name, family);
  return families;
}

function readSample(line: string): Series {
  const [, name = "", labelText = "", number = ""] = SAMPLE.exec(line) ?? [];
  const value = number === "+Inf" ? Number.POSITIVE_INFINITY : Number(number);
  if (name === "" || Number.isNaN(value)) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < labelText.length) {
    const found = LABEL.exec(labelText);
    if (found === null) throw new Error(`bad labels: ${line}`);
    labels[found[1] ?? ""] = (found[2] ?? "").replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
  }
  return { name, labels, value };
}

function belongs(series: string, family: string, type: string): boolean {
  if (type !== "histogram") return series === family;
  return ["_bucket", "_sum", "_count"].some((suffix) => series === family + suffix);
}

function check(name: string, { type, help, series }: Family): void {
  if (!["counter", "gauge", "histogram"].includes(type)) throw new Error(`${name}: type ${type}`);
  if (help === "") throw new Error(`${name}: no help`);
  if ((type === "counter") !== name.endsWith("_total")) throw new Error(`${name}: _total`);
  if (type === "counter" && series.some(({ value }) => value < 0)) throw new Error(`${name}: < 0`);
  if (type === "histogram") checkBuckets(name, series);
}

function checkBuckets(name: string, series: readonly Series[]): void {
  const last = new Map<string, { le: number; value: number }>();
  const without = ({ le: _, ...labels }: Record<string, string>): string => JSON.stringify(labels);
  for (const one of series) {
    const key = without(one.labels);
    const before = last.get(key);
    if (one.name.endsWith("_bucket")) {
      const le = one.labels.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(one.labels.le);
      if (before !== undefined && (le <= before.le || one.value < before.value)) {
        throw new Error(`${name}: buckets do not rise`);
      }
      last.set(key, { le, value: one.value });
    } else if (one.name.endsWith("_count")) {
      if (before?.le !== Number.POSITIVE_INFINITY || before.value !== one.value) {
        throw new Error(`${name}: the count is not the last bucket`);
      }
    }
  }
}

/** The value of one series; throws when it is not there. */
export function seriesValue(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const wanted = JSON.stringify(Object.entries(labels).sort());
  for (const { series } of families.values()) {
    for (const one of series) {
      if (one.name !== name) continue;
      if (JSON.stringify(Object.entries(one.labels).sort()) === wanted) return one.value;
    }
  }
  throw new Error(`no series ${name} ${wanted}`);
}
