import { REGION_CLASSES } from "../coalition/classes.ts";
import { readCoalition } from "../coalition/config.ts";
import { type CheckLine, checkMember, checkProvider } from "../config/check.ts";
import { loadMemberConfig, loadProviderConfig, readConfigFile } from "../config/load.ts";
import { memberChecks } from "../member.ts";
import { type Command, print, printJson } from "./command.ts";

export const configCheckCommand: Command = {
  name: "config check",
  summary: "check a configuration without starting anything",
  options: {
    config: { value: "FILE", help: "the configuration" },
    member: { help: "it is a committee member's, not a provider's" },
    set: { value: "KEY=VALUE", multiple: true, help: "override one setting" },
    json: { help: "print JSON" },
  },
  examples: [
    "compute-bridge config check --config provider.toml",
    "compute-bridge config check --member --config coalition/member-1/member.toml",
  ],
  async run(values) {
    const source = readConfigFile(values.required("config"));
    const options = { env: process.env, flags: values.list("set") };
    const check = { env: process.env, readCoalition };
    const lines = values.has("member")
      ? checkMember(() => loadMemberConfig(source, options), { ...check, memberChecks })
      : checkProvider(
          () => loadProviderConfig(source, { ...options, regionClasses: REGION_CLASSES }),
          check,
        );
    const ok = lines.every((line) => line.status !== "fail");
    if (values.has("json")) printJson({ ok, lines });
    else for (const line of lines) print(checkText(line));
    return ok ? 0 : 2;
  },
};

function checkText({ status, path, message, fix }: CheckLine): string {
  return `${status.padEnd(4)}  ${path}  ${message}${fix === undefined ? "" : `\n      ${fix}`}`;
}
