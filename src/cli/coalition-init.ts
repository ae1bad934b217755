import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { COMMITTEE_MEMBERS_MAX, HOUR_MS } from "../base/limits.ts";
import { checkName } from "../base/names.ts";
import { type Ceremony, runCeremony } from "../coalition/ceremony.ts";
import { withPeerId } from "../network/identity.ts";
import { integerOption } from "./arguments.ts";
import { type Command, print, printJson } from "./command.ts";

const BASE_PORT = 4801;

export const coalitionInitCommand: Command = {
  name: "coalition init",
  summary: "make a coalition's keys and files on one machine",
  about:
    "Runs every member's part of the key generation in this process. The coalition file says so\n" +
    "(ceremony = single-machine) and requesters are warned: whoever ran this could have kept every share.",
  options: {
    members: { value: "N", help: "how many members (3)" },
    threshold: { value: "T", help: "how many must agree (2 of 3; more than half)" },
    dir: { value: "D", help: "where to write coalition.toml and one folder per member" },
    name: { value: "NAME", help: "the coalition's name (coalition)" },
    host: { value: "IP", help: "address the members listen on and are dialled at (127.0.0.1)" },
    port: { value: "P", help: `first member's port; the others follow (${BASE_PORT})` },
    "tick-ms": { value: "MS", help: "almanac period (1000)" },
    currency: { value: "CODE", help: "currency of all prices (USD)" },
    json: { help: "print JSON" },
  },
  examples: [
    "compute-bridge coalition init --members 3 --threshold 2 --dir coalition",
    "compute-bridge coalition init --members 4 --threshold 3 --dir c4 --host 10.0.0.5",
  ],
  async run(values) {
    const dir = values.required("dir");
    const members = integerOption(values, "members", 3, 1, COMMITTEE_MEMBERS_MAX);
    const threshold = integerOption(values, "threshold", Math.floor(members / 2) + 1, 1, members);
    const port = integerOption(values, "port", BASE_PORT, 1, 65_535 - COMMITTEE_MEMBERS_MAX);
    const host = values.text("host") ?? "127.0.0.1";
    const file = join(dir, "coalition.toml");
    if (existsSync(file)) {
      throw new BridgeError("bad-argument", `${file} exists`, {
        fix: "choose another --dir; keys are never overwritten",
      });
    }
    const ceremony = runCeremony({
      name: checkName(values.text("name") ?? "coalition", "coalition name"),
      members,
      threshold,
      currency: values.text("currency") ?? "USD",
      tickMs: integerOption(values, "tick-ms", 1000, 100, HOUR_MS),
      address: (index) => `/${host.includes(":") ? "ip6" : "ip4"}/${host}/tcp/${port + index - 1}`,
      withPeerId,
    });
    writeCoalition(
      dir,
      ceremony,
      (index) => `/${host.includes(":") ? "ip6" : "ip4"}/${host}/tcp/${port + index - 1}`,
    );
    const fingerprint = toHex(ceremony.coalition.fingerprint);
    const { faulty } = ceremony.coalition.file.committee;
    if (values.has("json")) printJson({ ok: true, dir, fingerprint, members, threshold, faulty });
    else {
      print(`coalition ${file}\nfingerprint ${fingerprint}  (requesters pin this)`);
      print(
        `${members} members, threshold ${threshold}: tolerates ${members - threshold} silent and ${faulty} lying`,
      );
      for (let i = 1; i <= members; i += 1)
        print(
          `start member ${i}: compute-bridge coalition run --config ${join(dir, `member-${i}`, "member.toml")}`,
        );
    }
    return 0;
  },
};

/** One folder per member: move each to its own machine, and keep none behind. */
export function writeCoalition(
  dir: string,
  { toml, secrets }: Ceremony,
  listen: (index: number) => string,
): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, "coalition.toml"), toml);
  for (const { index, seed, grantShare, unsealShare } of secrets) {
    const folder = join(dir, `member-${index}`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const secret = (name: string, bytes: Uint8Array): void =>
      writeFileSync(join(folder, name), `${toHex(bytes)}\n`, { mode: 0o600, flag: "wx" });
    secret("member.key", seed);
    secret("grant.share", grantShare);
    secret("unseal.share", unsealShare);
    writeFileSync(
      join(folder, "member.toml"),
      [
        "version = 1",
        "",
        "[member]",
        `index = ${index}`,
        'stateDir = "state"',
        'key = "file:member.key"',
        'grantShare = "file:grant.share"',
        'unsealShare = "file:unseal.share"',
        "",
        "[coalition]",
        'file = "../coalition.toml"',
        "",
        "[network]",
        `listen = ["${listen(index)}"]`,
        "",
      ].join("\n"),
    );
  }
}
