/** Arguments and help: a mistake is one clear line with exit code 2, and help fits a terminal. */
import { describe, expect, test } from "bun:test";
import { BridgeError, explain } from "../../src/base/errors.ts";
import { coalitionInitCommand } from "../../src/cli/coalition-init.ts";
import { coalitionRunCommand } from "../../src/cli/coalition-run.ts";
import { type Command, commandHelp, parseCommandLine } from "../../src/cli/command.ts";
import { configCheckCommand } from "../../src/cli/config-check.ts";
import { configShowCommand } from "../../src/cli/config-show.ts";
import { demoCommand } from "../../src/cli/demo.ts";
import { drainCommand, retireCommand } from "../../src/cli/drain.ts";
import { providerCommand } from "../../src/cli/provider.ts";
import { requestCommand } from "../../src/cli/request.ts";
import { statusCommand } from "../../src/cli/status.ts";
import { COLUMNS } from "../../src/cli/text.ts";
import { versionCommand } from "../../src/cli/version.ts";
import { program } from "./program.ts";

const COMMANDS: readonly Command[] = [
  providerCommand,
  requestCommand,
  coalitionInitCommand,
  coalitionRunCommand,
  statusCommand,
  drainCommand,
  retireCommand,
  configCheckCommand,
  configShowCommand,
  versionCommand,
  demoCommand,
];

function mistakeIn(argv: readonly string[]): BridgeError {
  try {
    parseCommandLine(requestCommand, argv);
  } catch (error) {
    if (error instanceof BridgeError) return error;
    throw error;
  }
  throw new Error("no mistake was found");
}

describe("a mistake in the arguments", () => {
  const mistakes: readonly [argv: readonly string[], says: string][] = [
    [["provider.toml"], "Unexpected argument 'provider.toml'"],
    [["v1.2. or so"], "Unexpected argument 'v1.2. or so'"],
    [["--out.dir"], "Unknown option '--out.dir'"],
    [["--out"], "Option '--out <value>' argument missing"],
    [["--out", "--cpu"], "Option '--out' argument is ambiguous"],
    [["--json=a.b"], "Option '--json' does not take an argument"],
  ];
  for (const [argv, says] of mistakes) {
    test(`${argv.join(" ")} is said whole and once`, () => {
      const error = mistakeIn(argv);
      expect([error.code, error.message, error.cause]).toEqual(["bad-argument", says, undefined]);
      expect(explain(error)).toBe(`bad-argument: ${says} (see compute-bridge request --help)`);
    });
  }
});

test("the options that were given are known by name", () => {
  const values = parseCommandLine(requestCommand, ["--cpu", "1", "--json", "--egress-host", "a"]);
  expect([...values.given].sort()).toEqual(["cpu", "egress-host", "json"]);
});

describe("help", () => {
  for (const command of COMMANDS) {
    test(`of ${command.name} fits ${COLUMNS} columns and leaves nothing out`, () => {
      const help = commandHelp(command);
      for (const line of help.split("\n"))
        expect(Bun.stringWidth(line)).toBeLessThanOrEqual(COLUMNS);
      const words = help.split(/\s+/).join(" ");
      const about = command.about?.split(/\s+/).join(" ") ?? "";
      for (const part of [command.summary, about]) expect(words).toContain(part);
      for (const [name, option] of Object.entries(command.options)) {
        expect(words).toContain(`--${name}`);
        for (const word of option.help.split(" ")) expect(words).toContain(word);
      }
    });

    test(`of ${command.name} has examples that a shell takes, and the command does`, () => {
      const joined = commandHelp(command).replaceAll(/ \\\n +/g, " ");
      for (const example of command.examples) {
        expect(joined).toContain(`\n  ${example}\n`);
        const argv = example.match(/'[^']*'|\S+/g) ?? [];
        const words = 1 + command.name.split(" ").length;
        expect(argv.slice(1, words).join(" ")).toBe(command.name);
        expect(() => parseCommandLine(command, argv.slice(words))).not.toThrow();
      }
    });
  }

  test("the overview fits, too", async () => {
    const { exitCode, stdout } = await program("--help");
    expect(exitCode).toBe(0);
    for (const { name } of COMMANDS) expect(stdout).toContain(`  ${name}  `);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(COLUMNS);
  });
});

describe("the program", () => {
  test("knows no command that is only a property of objects", async () => {
    for (const name of ["constructor", "__proto__"]) {
      const { exitCode, stdout, stderr } = await program(name);
      expect([exitCode, stdout]).toEqual([2, ""]);
      expect(stderr).toBe(
        `compute-bridge: unknown-command: there is no command "${name}" (see compute-bridge --help)\n`,
      );
    }
  });

  test("keeps code, message and fix apart under --json, and exits with 2", async () => {
    const { exitCode, stdout, stderr } = await program("provider", "provider.toml", "--json");
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      ok: false,
      code: "bad-argument",
      message: "Unexpected argument 'provider.toml'",
      fix: "see compute-bridge provider --help",
    });
    expect(stderr.match(/Unexpected argument/g)).toHaveLength(1);
  });
});
