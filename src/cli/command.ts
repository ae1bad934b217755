/**
 * What a command is, and how its help and its arguments come from one table. Parsing is node's own parseArgs; unknown
 * or malformed arguments are a `bad-argument` with what to do, exit code 2.
 */
import { parseArgs } from "node:util";
import { BridgeError } from "../base/errors.ts";
import { COLUMNS, twoColumns, wrapText, wrapWords } from "./text.ts";

/** 0 done or accepted, 1 failed, 2 usage or config, 3 rejected, 4 undecided. */
export type ExitCode = 0 | 1 | 2 | 3 | 4;

export interface Option {
  readonly help: string;
  /** Placeholder of the value in the help; absent for a switch. */
  readonly value?: string;
  readonly multiple?: boolean;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** Paragraphs under the summary, an empty line between two; wrapped when they are shown. */
  readonly about?: string;
  readonly options: { readonly [name: string]: Option };
  readonly examples: readonly string[];
  run(values: Values): Promise<ExitCode>;
}

/** Parsed options, with the checks every command needs. */
export interface Values {
  /** Names of the options that were given. */
  readonly given: readonly string[];
  has(name: string): boolean;
  text(name: string): string | undefined;
  /** Throws `bad-argument` when it is missing. */
  required(name: string): string;
  list(name: string): readonly string[];
}

const HELP: Option = { help: "show this help" };

export function parseCommandLine(command: Command, argv: readonly string[]): Values {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, help: HELP }).map(([name, option]) => [
      name,
      {
        type: option.value === undefined ? ("boolean" as const) : ("string" as const),
        multiple: option.multiple ?? false,
      },
    ]),
  );
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...argv], options, strict: true, allowPositionals: false });
  } catch (error) {
    // No cause: it would say the same again.
    throw new BridgeError("bad-argument", reasonOf(error), {
      fix: `see compute-bridge ${command.name} --help`,
    });
  }
  const values = parsed.values;
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
    given: Object.keys(values),
    has: (name) => values[name] === true,
    text,
    required(name) {
      const value = text(name);
      if (value !== undefined && value !== "") return value;
      throw new BridgeError("bad-argument", `--${name} is required`, {
        fix: `see compute-bridge ${command.name} --help`,
      });
    },
    list(name) {
      const value = values[name];
      return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
    },
  };
}

/** What parseArgs found wrong, without its advice on positional arguments, which no command takes. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message.replace(
    /\.(?: This command does not take| To specify a positional|\nDid you forget).*$/s,
    "",
  );
}

export function commandHelp(command: Command): string {
  const rows = Object.entries({ ...command.options, help: HELP }).map(
    ([name, option]) =>
      [`--${name}${option.value === undefined ? "" : ` ${option.value}`}`, option.help] as const,
  );
  const paragraphs = command.about?.split("\n\n") ?? [];
  return [
    ...wrapText(`compute-bridge ${command.name}: ${command.summary}`, COLUMNS),
    ...paragraphs.flatMap((text) => ["", ...wrapText(text.replaceAll("\n", " "), COLUMNS)]),
    "",
    "Options",
    ...twoColumns(rows),
    "",
    "Examples",
    ...command.examples.flatMap(exampleLines),
    "",
  ].join("\n");
}

/** Broken before options, as a shell takes it. */
function exampleLines(example: string): string[] {
  const lines = wrapWords(example.split(/ (?=--)/), COLUMNS - "      ".length - " \\".length);
  return lines.map(
    (line, i) => `${i === 0 ? "  " : "      "}${line}${i < lines.length - 1 ? " \\" : ""}`,
  );
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
