import { build } from "../base/build.ts";
import { type Command, print, printJson } from "./command.ts";

export const versionCommand: Command = {
  name: "version",
  summary: "version, source tree and flavour of this program",
  options: { json: { help: "print JSON" } },
  examples: ["compute-bridge version", "compute-bridge version --json"],
  async run(values) {
    const { version, tree, flavour } = build;
    if (values.has("json")) printJson({ version, tree, flavour, bun: Bun.version });
    else print(`compute-bridge ${version} ${flavour}\nsource tree ${tree}\nbun ${Bun.version}`);
    return 0;
  },
};
