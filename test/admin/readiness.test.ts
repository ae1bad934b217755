import { describe, expect, test } from "bun:test";
import { STANDINGS } from "../../src/admin/facts.ts";
import { CHECKS, type CheckName } from "../../src/admin/meters.ts";
import { readinessOf } from "../../src/admin/readiness.ts";
import { ReadySchema } from "../../src/admin/schemas.ts";
import { codec } from "../../src/base/schema.ts";
import { sampleFacts } from "./facts.ts";

const ready = codec(ReadySchema, "readyz");
const check = (name: CheckName, changes: Parameters<typeof sampleFacts>[0]) => {
  const { ready: all, checks } = ready.check(readinessOf(sampleFacts(changes)));
  const found = checks.find((one) => one.name === name);
  return { all, state: found?.state, code: found?.code, fix: found?.fix };
};

test("a provider that can serve is ready, and says of each check why", () => {
  const { ready: all, checks } = ready.check(readinessOf(sampleFacts()));
  expect(all).toBe(true);
  expect(checks.map(({ name }) => name)).toEqual([...CHECKS]);
  for (const { detail } of checks) expect(detail).not.toBe("");
});

describe("each check alone makes it unready, with a code and a fix", () => {
  const cases: readonly (readonly [CheckName, string, Parameters<typeof sampleFacts>[0]])[] = [
    ["network", "too-few-members", { members: { connected: 1, total: 3, needed: 2 } }],
    ["journal", "journal-unwritable", { journalFault: "journal-unwritable" }],
    ["backend", "no-backend", { backends: [] }],
    ["backend", "no-backend", { backendOk: false }],
    ["backend", "no-backend", { backendOk: undefined }],
    ["card", "no-card", { card: { publishedMs: undefined, current: false } }],
    ["card", "card-lapsed", { card: { publishedMs: 1, current: false } }],
    ["standing", "kill-switch", { killSwitch: true }],
    ...STANDINGS.filter((standing) => standing !== "serving").map(
      (standing) => ["standing", standing, { standing }] as const,
    ),
    [
      "quote",
      "no-evidence",
      { evidence: { required: true, state: "none", code: "no-evidence" } as const },
    ],
  ];
  for (const [name, code, changes] of cases) {
    test(`${name}: ${code}`, () => {
      const found = check(name, changes);
      expect(found).toMatchObject({ all: false, state: "failing", code });
      expect(found.fix).toBeString();
    });
  }
});

test("one backend of several is enough, and exactly the needed members are", () => {
  expect(check("backend", { backendOk: true, alsoFailing: true }).all).toBe(true);
  expect(check("network", { members: { connected: 2, total: 3, needed: 2 } }).all).toBe(true);
});

test("a quote that is not required is called that, and not ok", () => {
  expect(check("quote", {})).toMatchObject({
    all: true,
    state: "not-required",
    code: "no-evidence",
  });
  const fresh = { required: true, state: "ok", code: "ok" } as const;
  expect(check("quote", { evidence: fresh })).toMatchObject({ all: true, state: "ok" });
});
