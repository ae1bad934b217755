/** The program: argv to a command, exit code out. Each command's code is loaded only when it runs. */
import { build } from "./base/build.ts";
import { BridgeError, explain } from "./base/errors.ts";
import {
  type Command,
  commandHelp,
  type ExitCode,
  parseCommandLine,
  printJson,
} from "./cli/command.ts";
import { COLUMNS, twoColumns, wrapText } from "./cli/text.ts";

declare const CB_DEV: boolean | undefined;

interface Listed {
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

const COMMANDS: Record<string, Listed> = {
  provider: {
    summary: "run a provider",
    load: async () => (await import("./cli/provider.ts")).providerCommand,
  },
  request: {
    summary: "ask a coalition for a machine",
    load: async () => (await import("./cli/request.ts")).requestCommand,
  },
  "coalition init": {
    summary: "make a coalition's keys and files on one machine",
    load: async () => (await import("./cli/coalition-init.ts")).coalitionInitCommand,
  },
  "coalition run": {
    summary: "run one committee member",
    load: async () => (await import("./cli/coalition-run.ts")).coalitionRunCommand,
  },
  status: {
    summary: "what a running provider is doing",
    load: async () => (await import("./cli/status.ts")).statusCommand,
  },
  drain: {
    summary: "stop taking grants, wait for the live ones, stop",
    load: async () => (await import("./cli/drain.ts")).drainCommand,
  },
  retire: {
    summary: "drain, then retire this provider for good",
    load: async () => (await import("./cli/drain.ts")).retireCommand,
  },
  "config check": {
    summary: "check a configuration without starting anything",
    load: async () => (await import("./cli/config-check.ts")).configCheckCommand,
  },
  "config show": {
    summary: "show the effective configuration, secrets redacted",
    load: async () => (await import("./cli/config-show.ts")).configShowCommand,
  },
  version: {
    summary: "version, source tree and flavour of this program",
    load: async () => (await import("./cli/version.ts")).versionCommand,
  },
};

// The define itself must stand in the condition: only then the bundler leaves these parts out of production.
if (typeof CB_DEV === "undefined" || CB_DEV) {
  COMMANDS.demo = {
    summary: "the whole thing on this machine: coalition, provider, request, login",
    load: async () => (await import("./cli/demo.ts")).demoCommand,
  };
}

process.exitCode = await main(process.argv.slice(2));
process.exit();

async function main(argv: readonly string[]): Promise<ExitCode> {
  // A machine ends its tenant's processes in order whatever fails, so it has handlers of its own.
  if (typeof CB_DEV === "undefined" || CB_DEV) {
    if (argv[0] === "__machine") {
      const { runMachine } = await import("./fleet/backends/local/machine.ts");
      try {
        return (await runMachine({ folder: argv[1] ?? "" })) === 0 ? 0 : 1;
      } catch (error) {
        return report(error, false); // its own handlers would keep the process alive
      }
    }
  }
  installCrashHandlers();
  const wantsJson = argv.includes("--json");
  try {
    const found = findCommand(argv);
    if (found === undefined) return unknownCommand(argv);
    const command = await found.listed.load();
    const rest = argv.slice(found.words);
    if (rest.includes("--help") || rest.includes("-h")) {
      process.stdout.write(commandHelp(command));
      return 0;
    }
    return await command.run(parseCommandLine(command, rest));
  } catch (error) {
    return report(error, wantsJson);
  }
}

function findCommand(argv: readonly string[]): { listed: Listed; words: number } | undefined {
  for (const words of [2, 1]) {
    const name = argv.slice(0, words).join(" ");
    const listed = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (listed !== undefined && argv.length >= words) return { listed, words };
  }
  return undefined;
}

function unknownCommand(argv: readonly string[]): ExitCode {
  const [first] = argv;
  if (first === undefined || first === "--help" || first === "-h" || first === "help") {
    process.stdout.write(overview());
    return first === undefined ? 2 : 0;
  }
  if (first === "--version") {
    process.stdout.write(`${build.version}\n`);
    return 0;
  }
  if (first === "demo") {
    throw new BridgeError("development-only", "the demo is in the development build", {
      fix: "run compute-bridge-dev demo, or bun run demo in a checkout",
    });
  }
  throw new BridgeError(
    "unknown-command",
    `there is no command ${JSON.stringify(argv.slice(0, 2).join(" "))}`,
    {
      fix: "see compute-bridge --help",
    },
  );
}

function overview(): string {
  return [
    `compute-bridge ${build.version} (${build.flavour})`,
    ...wrapText(
      "An attested provider for a coalition's Compute module: anonymous requests in, SSH machines out.",
      COLUMNS,
    ),
    "",
    "Commands",
    ...twoColumns(Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary])),
    "",
    "compute-bridge COMMAND --help shows options and examples.",
    ...wrapText(
      "Exit codes: 0 done or accepted, 1 failed, 2 usage or configuration, 3 rejected, 4 undecided.",
      COLUMNS,
    ),
    "",
  ].join("\n");
}

function report(error: unknown, wantsJson: boolean): ExitCode {
  const known = error instanceof BridgeError;
  const code = known ? error.code : "invariant";
  if (wantsJson)
    printJson({
      ok: false,
      code,
      message: error instanceof Error ? error.message : String(error),
      fix: known ? (error.fix ?? null) : null,
    });
  process.stderr.write(`compute-bridge: ${explain(error)}\n`);
  if (!known && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return known && (error.family === "usage" || error.family === "config") ? 2 : 1;
}

/** A compiled binary would otherwise print pages of minified source. */
function installCrashHandlers(): void {
  const crash = (error: unknown): void => {
    process.stderr.write(
      `compute-bridge: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(1);
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
}
