import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { metricSpecs } from "../../src/admin/meters.ts";
import { createCounter, createHistogram, metricText } from "../../src/admin/prometheus.ts";
import { PROJECT } from "../support/vectors.ts";
import { readExposition, seriesValue } from "./exposition.ts";

const gauge = {
  name: "things",
  type: "gauge",
  help: "Things with a \\ and a\nbreak.",
  labels: { kind: ["a", 'b"\\\n'] },
} as const;

describe("the text format", () => {
  test("escapes help and label values as the specification says", () => {
    const text = metricText(gauge, [
      { labels: { kind: "a" }, value: 1.5 },
      { labels: { kind: 'b"\\\n' }, value: -2 },
    ]);
    expect(text).toBe(
      "# HELP compute_bridge_things Things with a \\\\ and a\\nbreak.\n" +
        "# TYPE compute_bridge_things gauge\n" +
        'compute_bridge_things{kind="a"} 1.5\n' +
        'compute_bridge_things{kind="b\\"\\\\\\n"} -2\n',
    );
    expect(seriesValue(readExposition(text), "compute_bridge_things", { kind: 'b"\\\n' })).toBe(-2);
  });

  test("a value outside the closed list becomes `other`, and a label nobody declared is dropped", () => {
    const text = metricText(gauge, [
      { labels: { kind: "request-17" }, value: 1 },
      { labels: { kind: "peer-4", peer: "12D3Koo" }, value: 2 },
    ]);
    expect(text).toContain('compute_bridge_things{kind="other"} 3\n');
    expect(text).not.toMatch(/request-17|peer/);
  });

  test("a counter adds up by its closed labels", () => {
    const spec = { name: "x_total", type: "counter", help: "X.", labels: { code: ["a"] } } as const;
    const counter = createCounter(spec);
    counter.add({ code: "a" });
    counter.add({ code: "a" }, 4);
    for (let i = 0; i < 1000; i += 1) counter.add({ code: `made-up-${i}` });
    expect(counter.samples()).toEqual([
      { labels: { code: "a" }, value: 5 },
      { labels: { code: "other" }, value: 1000 },
    ]);
  });

  test("a histogram's buckets are cumulative, and a value on a bound belongs below it", () => {
    const spec = {
      name: "took_seconds",
      type: "histogram",
      help: "Took.",
      labels: { op: ["list"] },
      buckets: [0.1, 1, 10],
    } as const;
    const histogram = createHistogram(spec);
    for (const value of [0.05, 0.1, 0.5, 10, 11]) histogram.observe({ op: "list" }, value);
    const families = readExposition(histogram.text());
    const at = (le: string): number =>
      seriesValue(families, "compute_bridge_took_seconds_bucket", { op: "list", le });
    expect([at("0.1"), at("1"), at("10"), at("+Inf")]).toEqual([2, 3, 4, 5]);
    expect(seriesValue(families, "compute_bridge_took_seconds_sum", { op: "list" })).toBeCloseTo(
      21.65,
    );
  });
});

describe("the declarations", () => {
  const specs = Object.values(metricSpecs(["aws", "gcp"], "EUR"));

  test("names are unique, in base units, and counters end in _total", () => {
    expect(new Set(specs.map(({ name }) => name)).size).toBe(specs.length);
    for (const { name, type } of specs) {
      expect(name).toMatch(/^[a-z][a-z_]*$/);
      expect(name).not.toMatch(/_(ms|kb|mb|kib|mib|hours|minutes|percent)(_|$)/);
      expect(name.endsWith("_total")).toBe(type === "counter");
    }
  });

  test("no label could name a requester, a peer, a machine or a region", () => {
    const labels = new Set(specs.flatMap((spec) => Object.keys(spec.labels)));
    expect([...labels].sort()).toEqual([
      ...["backend", "bun", "check", "code", "currency", "flavour", "op", "outcome", "result"],
      ...["stage", "standing", "state", "tree", "version"],
    ]);
    for (const spec of specs) {
      for (const values of Object.values(spec.labels)) expect(values.length).toBeGreaterThan(0);
    }
  });
});

describe("the reader used by these tests can fail", () => {
  for (const [fault, text] of Object.entries({
    "no type": "# HELP a_total x\na_total 1\n",
    "no help": "a_total 1\n",
    "a counter without _total": "# HELP a x\n# TYPE a counter\na 1\n",
    "the same series twice": '# HELP a x\n# TYPE a gauge\na{b="1"} 1\na{b="1"} 2\n',
    "an unescaped quote": '# HELP a x\n# TYPE a gauge\na{b="1"2"} 1\n',
    "buckets that fall":
      '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
    "no final line end": "# HELP a x\n# TYPE a gauge\na 1",
  })) {
    test(fault, () => {
      expect(() => readExposition(text)).toThrow();
    });
  }
});

test("the README lists every metric with its labels", () => {
  const readme = readFileSync(join(PROJECT, "src/admin/README.md"), "utf8");
  const rows = [...readme.matchAll(/^\| `([a-z_]+)`\s*\|([a-z, ]*)\|$/gm)];
  const listed = rows.map(([, name, labels = ""]) => `${name}: ${labels.trim()}`);
  const declared = Object.values(metricSpecs(["aws"], "EUR")).map(
    ({ name, labels }) => `${name}: ${Object.keys(labels).join(", ")}`,
  );
  expect(listed.sort()).toEqual(declared.sort());
});
