/**
 * What a command is, and how its help and its arguments come from one table. Parsing is node's own parseArgs; unknown
 * or malformed arguments are a `bad-argument` with what to do, exit code 2.
 */
import { parseArgs } from "node:util";
import { BridgeError } from "../base/errors.ts";

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
  /** Paragraphs under the summary. */
  readonly about?: string;
  readonly options: { readonly [name: string]: Option };
  readonly examples: readonly string[];
  run(values: Values): Promise<ExitCode>;
}

/** Parsed options, with the checks every command needs. */
export interface Values {
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
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split(".")[0] ?? "") : String(cause);
    throw new BridgeError("bad-argument", reason, {
      cause,
      fix: `see compute-bridge ${command.name} --help`,
    });
  }
  const values = parsed.values;
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
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

export function commandHelp(command: Command): string {
  const rows = Object.entries({ ...command.options, help: HELP }).map(
    ([name, option]) =>
      [`--${name}${option.value === undefined ? "" : ` ${option.value}`}`, option.help] as const,
  );
  const width = Math.max(...rows.map(([left]) => left.length));
  return [
    `compute-bridge ${command.name}: ${command.summary}`,
    ...(command.about === undefined ? [] : ["", command.about]),
    "",
    "Options",
    ...rows.map(([left, help]) => `  ${left.padEnd(width)}  ${help}`),
    "",
    "Examples",
    ...command.examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
