/** The machine program as the tests start it: `bun machine-entry.ts <folder>`. */
import { runMachine } from "../../../src/fleet/backends/local/machine.ts";

process.exit(await runMachine({ folder: process.argv[2] ?? "" }));
