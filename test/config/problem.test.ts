import { describe, expect, test } from "bun:test";
import { CONFIG_PROBLEMS_MAX } from "../../src/base/limits.ts";
import { collectProblems, type Origin, originText, problemText } from "../../src/config/problem.ts";
import { refusal } from "./support.ts";

const inFile = (line: number | undefined): Origin => ({ from: "file", file: "p.toml", line });

describe("a report", () => {
  test("is in file order, then what has no line, the environment, flags", () => {
    const problems = collectProblems("p.toml");
    problems.add({ from: "flag", key: "a.b" }, "a.b", "flag", "f");
    problems.add({ from: "env", name: "X" }, "a.b", "env", "f");
    problems.add(inFile(undefined), "a.b", "no line", "f");
    problems.add(inFile(9), "a.b", "late", "f");
    problems.add(inFile(2), "", "early", "f");
    problems.add(inFile(9), "a.c", "late too", "f");
    const error = refusal(() => problems.throwIfAny());
    expect(error.message.split("\n  ")).toEqual([
      "p.toml has 6 problems",
      "p.toml:2  early (f)",
      "p.toml:9  a.b  late (f)",
      "p.toml:9  a.c  late too (f)",
      "p.toml  a.b  no line (f)",
      "env X  a.b  env (f)",
      "--set a.b  a.b  flag (f)",
    ]);
    expect(error.problems.map(problemText)).toEqual(error.message.split("\n  ").slice(1));
    expect(error).toMatchObject({ code: "config-invalid", family: "config", retry: "never" });
  });

  test("is bounded", () => {
    const problems = collectProblems("p.toml");
    for (let i = 0; i < 2 * CONFIG_PROBLEMS_MAX; i += 1) problems.add(inFile(i), "", "m", "f");
    expect(problems.full()).toBe(true);
    expect(refusal(() => problems.throwIfAny()).problems).toHaveLength(CONFIG_PROBLEMS_MAX);
  });

  test("is not thrown when there is none", () => {
    const problems = collectProblems("p.toml");
    expect(() => problems.throwIfAny()).not.toThrow();
    problems.add(inFile(1), "a", "m", "f");
    expect(refusal(() => problems.throwIfAny()).message).toStartWith("p.toml has 1 problem\n");
  });
});

test("a default has an origin too", () => {
  expect(originText({ from: "default" })).toBe("default");
});
