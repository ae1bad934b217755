import { REGION_CLASSES } from "../coalition/classes.ts";
import { loadMemberConfig, loadProviderConfig, readConfigFile } from "../config/load.ts";
import { showJson, showToml } from "../config/show.ts";
import type { Command } from "./command.ts";

export const configShowCommand: Command = {
  name: "config show",
  summary: "show the effective configuration, secrets redacted",
  about: "Secrets are shown as the references they are configured with, never as what those hold.",
  options: {
    config: { value: "FILE", help: "the configuration" },
    member: { help: "it is a committee member's, not a provider's" },
    origin: { help: "add where each value came from" },
    set: { value: "KEY=VALUE", multiple: true, help: "override one setting" },
    json: { help: "print JSON" },
  },
  examples: ["compute-bridge config show --origin --config provider.toml"],
  async run(values) {
    const source = readConfigFile(values.required("config"));
    const options = { env: process.env, flags: values.list("set") };
    const loaded = values.has("member")
      ? loadMemberConfig(source, options)
      : loadProviderConfig(source, { ...options, regionClasses: REGION_CLASSES });
    const show = values.has("json") ? showJson : showToml;
    process.stdout.write(show(loaded, { origin: values.has("origin") }));
    return 0;
  },
};
