import { systemClock } from "../base/clock.ts";
import { readCoalition } from "../coalition/config.ts";
import { loadMemberConfig, readConfigFile } from "../config/load.ts";
import { readSeed } from "../config/secrets.ts";
import { startMember } from "../member.ts";
import type { Command } from "./command.ts";
import { onStopSignal, roleLogger, untilAsked } from "./role.ts";

export const coalitionRunCommand: Command = {
  name: "coalition run",
  summary: "run one committee member",
  about:
    "A member keeps the coalition's records, votes on grants and releases shares of envelopes. Its state\n" +
    "directory holds its votes: keep it on a disk of its own and never run one member twice.\n" +
    "Requests arrive by transport direct, which hides their content and not who sent them.",
  options: {
    config: { value: "FILE", help: "the member's configuration" },
    set: { value: "KEY=VALUE", multiple: true, help: "override one setting" },
  },
  examples: ["compute-bridge coalition run --config coalition/member-1/member.toml"],
  async run(values) {
    const source = readConfigFile(values.required("config"));
    const { config } = loadMemberConfig(source, { env: process.env, flags: values.list("set") });
    const coalition = readCoalition(config.coalition.file, config.coalition.pin);
    const log = roleLogger(config.log.level);
    const stop = untilAsked();
    onStopSignal(log, stop.ask);
    const member = await startMember({
      coalition,
      index: config.member.index,
      seed: readSeed(config.member.key, process.env),
      grantShare: readSeed(config.member.grantShare, process.env),
      unsealShare: readSeed(config.member.unsealShare, process.env),
      stateDir: config.member.stateDir,
      listen: config.network.listen,
      announce: config.network.announce,
      clock: systemClock,
      log,
    });
    await stop.asked;
    await member.stop();
    return 0;
  },
};
