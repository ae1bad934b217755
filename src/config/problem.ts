/**
 * What is wrong with a configuration, all of it at once: an operator who mends one line and is told of the next
 * one loses an afternoon. A problem says where the value was given, which key is meant, what is wrong and what to do.
 */
import { BridgeError } from "../base/errors.ts";
import { CONFIG_PROBLEMS_MAX } from "../base/limits.ts";

/** Where a value came from. Lines count from 1; a line of undefined means the file as a whole. */
export type Origin =
  | { readonly from: "default" }
  | { readonly from: "file"; readonly file: string; readonly line: number | undefined }
  | { readonly from: "env"; readonly name: string }
  | { readonly from: "flag"; readonly key: string };

export interface ConfigProblem {
  /** As written in the file, `limits.spendPerDay`; "" when no single key is meant. */
  readonly path: string;
  readonly origin: Origin;
  readonly line: number | undefined;
  readonly message: string;
  /** What a person should do about it. */
  readonly fix: string;
}

/** Code `config-invalid`; the message is the whole report, one line per problem. */
export class ConfigError extends BridgeError {
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    const sorted = problems.toSorted((a, b) => rank(a) - rank(b));
    super("config-invalid", report(file, sorted));
    this.problems = sorted;
  }
}

/** Collects up to a screenful; beyond it the searcher may stop looking. */
export interface Problems {
  add(origin: Origin, path: string, message: string, fix: string): void;
  full(): boolean;
  /** Throws a ConfigError when anything was added. */
  throwIfAny(): void;
}

export function collectProblems(file: string): Problems {
  const found: ConfigProblem[] = [];
  const full = (): boolean => found.length >= CONFIG_PROBLEMS_MAX;
  return {
    full,
    add(origin, path, message, fix) {
      if (full()) return;
      const line = origin.from === "file" ? origin.line : undefined;
      found.push({ path, origin, line, message, fix });
    },
    throwIfAny() {
      if (found.length > 0) throw new ConfigError(file, found);
    },
  };
}

/** `provider.toml:7`, `env COMPUTE_BRIDGE_ADMIN_PORT`, `--set admin.port` or `default`; never the value. */
export function originText(origin: Origin): string {
  switch (origin.from) {
    case "default":
      return "default";
    case "file":
      return origin.line === undefined ? origin.file : `${origin.file}:${origin.line}`;
    case "env":
      return `env ${origin.name}`;
    case "flag":
      return `--set ${origin.key}`;
  }
}

/** `file:line  key.path  problem (what to do)`. */
export function problemText(problem: ConfigProblem): string {
  const parts = [originText(problem.origin), problem.path, `${problem.message} (${problem.fix})`];
  return parts.filter((part) => part !== "").join("  ");
}

/** File order, then what has no line, then the environment, then flags. */
function rank(problem: ConfigProblem): number {
  if (problem.origin.from === "env") return Number.MAX_SAFE_INTEGER - 1;
  if (problem.origin.from === "flag") return Number.MAX_SAFE_INTEGER;
  return problem.line ?? Number.MAX_SAFE_INTEGER - 2;
}

function report(file: string, problems: readonly ConfigProblem[]): string {
  const count = problems.length;
  const more =
    count >= CONFIG_PROBLEMS_MAX ? [`only the first ${CONFIG_PROBLEMS_MAX} are shown`] : [];
  const heading = `${file} has ${count === 1 ? "1 problem" : `${count} problems`}`;
  return [heading, ...problems.map(problemText), ...more].join("\n  ");
}
