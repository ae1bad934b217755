/** Checks of what the configuration points to on disk. Nothing is left behind, and no content is printed. */
import { lstatSync, mkdtempSync, rmdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { BridgeError } from "../base/errors.ts";
import type { CheckLine } from "./check.ts";
import { explainFault } from "./files.ts";
import { ConfigError, type ConfigProblem, originText } from "./problem.ts";
import { type Environment, readSeed, secretRefText, shellQuote } from "./secrets.ts";
import type { SecretRef } from "./setting.ts";

/** A directory the program can create or write, closed to everybody else. */
export function checkStateDir(path: string, directory: string): CheckLine {
  let existing = directory;
  try {
    existing = nearestExisting(directory);
    const stat = statSync(existing);
    if (!stat.isDirectory()) {
      const message = `${existing} is not a directory`;
      return { status: "fail", path, message, fix: "choose another place" };
    }
    // Asking for permission says little (root always has it, a full or read-only disk never shows): so try.
    rmdirSync(mkdtempSync(join(existing, ".compute-bridge-check-")));
    if (existing === directory) return judgeMode(path, directory, stat.mode);
    return { status: "ok", path, message: `${directory} will be created with mode 0700` };
  } catch (error) {
    const { problem, fix } = explainFault(error);
    return { status: "fail", path, message: `${existing} cannot be written: it ${problem}`, fix };
  }
}

function judgeMode(path: string, directory: string, mode: number): CheckLine {
  const fault = openToOthers(directory, mode);
  if (fault === undefined) return { status: "ok", path, message: `${directory} can be written` };
  return { status: "fail", path, ...fault };
}

/** What is wrong with the mode of a directory that holds keys, votes and journals; undefined for nothing. */
export function openToOthers(
  directory: string,
  mode: number,
): { readonly message: string; readonly fix: string } | undefined {
  if ((mode & 0o007) === 0) return undefined;
  const octal = (mode & 0o777).toString(8).padStart(4, "0");
  return {
    message: `${directory} has mode ${octal}: every user of this host can enter it`,
    fix: `chmod 700 ${shellQuote(directory)}`,
  };
}

/** The path itself or the nearest one above it; a dangling link exists, and nothing can be created in its place. */
function nearestExisting(path: string): string {
  let at = path;
  for (; dirname(at) !== at; at = dirname(at)) {
    try {
      lstatSync(at);
      return at;
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }
  return at;
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** 64 hex characters, whatever it is. */
export function checkSecret(
  path: string,
  ref: SecretRef,
  what: "seed" | "share",
  env: Environment,
): CheckLine {
  return checked(path, `${secretRefText(ref)} holds a ${what}`, () => readSeed(ref, env).erase());
}

/** One line: `ok` with this message, or what `run` throws. */
export function checked(path: string, message: string, run: () => void): CheckLine {
  try {
    run();
    return { status: "ok", path, message };
  } catch (error) {
    return failure(path, error);
  }
}

/** The file is read as the program would read it, pin included; `read` throws what is wrong with it. */
export function checkCoalition(
  file: string,
  pin: string | undefined,
  read: (path: string, pin?: string) => unknown,
): CheckLine[] {
  const path = "coalition.file";
  try {
    read(file, pin);
  } catch (error) {
    if (!(error instanceof ConfigError)) return [failure(path, error)];
    return error.problems.map((problem) => {
      // Keys of that file are no keys of the configuration, so they stand in the message.
      const message = [problem.path, problem.message].filter((part) => part !== "").join(" ");
      return { ...lineOf({ ...problem, message }), path };
    });
  }
  const pinned = pin === undefined ? "" : " and has the pinned fingerprint";
  return [{ status: "ok", path, message: `${file} is valid${pinned}` }];
}

/** A problem of a configuration that did not load, as a line of the check. */
export function lineOf(problem: ConfigProblem): CheckLine {
  const { origin, path, message, fix } = problem;
  return { status: "fail", path, message: `${originText(origin)}: ${message}`, fix };
}

function failure(path: string, error: unknown): CheckLine {
  if (!(error instanceof BridgeError)) throw error;
  const fix = error.fix === undefined ? {} : { fix: error.fix };
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return { status: "fail", path, message: `${error.message}${cause}`, ...fix };
}
