import { existsSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { COMMITTEE_MEMBERS_MAX, HOUR_MS } from "../base/limits.ts";
import { checkName } from "../base/names.ts";
import { type Ceremony, runCeremony } from "../coalition/ceremony.ts";
import {
  COALITION_FILE,
  MEMBER_FILE,
  type MemberPlace,
  memberFolder,
  writeCeremony,
} from "../coalition/ceremony-files.ts";
import { CURRENCY, THRESHOLD_MIN } from "../coalition/config.ts";
import { parseAnnounceAddress } from "../config/address.ts";
import { explainFault } from "../config/files.ts";
import { withPeerId } from "../network/identity.ts";
import { checkedOption, integerOption } from "./arguments.ts";
import { type Command, print, printJson, type Values } from "./command.ts";

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
    host: {
      value: "HOST",
      help: "where the members are dialled (127.0.0.1); at a name they listen on every IPv4 address",
    },
    port: { value: "P", help: `first member's port; the others follow (${BASE_PORT})` },
    "tick-ms": { value: "MS", help: "almanac period (1000)" },
    currency: { value: "CODE", help: "currency of all prices (USD)" },
    json: { help: "print JSON" },
  },
  examples: [
    "compute-bridge coalition init --members 3 --threshold 2 --dir coalition",
    "compute-bridge coalition init --members 4 --threshold 3 --dir c4 --host 10.0.0.5",
    "compute-bridge coalition init --dir c3 --host members.example.org",
  ],
  async run(values) {
    const dir = values.required("dir");
    const file = join(dir, COALITION_FILE);
    if (existsSync(file)) {
      throw new BridgeError("bad-argument", `--dir: ${file} exists`, {
        fix: "choose another --dir; keys are never overwritten",
      });
    }
    const members = integerOption(values, "members", 3, THRESHOLD_MIN, COMMITTEE_MEMBERS_MAX);
    const place = placesOf(values);
    const ceremony = runCeremony({
      name: checkedOption("name", values.text("name") ?? "coalition", (name) =>
        checkName(name, "the name"),
      ),
      members,
      threshold: thresholdOf(values, members),
      currency: currencyOf(values),
      tickMs: integerOption(values, "tick-ms", 1000, 100, HOUR_MS),
      address: (index) => place(index).dial,
      withPeerId,
    });
    write(dir, ceremony, place);
    show(dir, ceremony, values.has("json"));
    return 0;
  },
};

interface Place extends MemberPlace {
  /** Where the others dial it; stands in the coalition file. */
  readonly dial: string;
}

/** The place of every member, checked. */
function placesOf(values: Values): (index: number) => Place {
  const port = integerOption(values, "port", BASE_PORT, 1, 65_535 - COMMITTEE_MEMBERS_MAX);
  const host = values.text("host") ?? "127.0.0.1";
  const family = isIP(host);
  const place = (index: number): Place => {
    const at = `/tcp/${port + index - 1}`;
    const dial = `/${family === 0 ? "dns4" : `ip${family}`}/${host}${at}`;
    return family === 0
      ? { dial, listen: `/ip4/0.0.0.0${at}`, announce: dial }
      : { dial, listen: dial };
  };
  checkedOption("host", host, () => {
    if (family === 0) checkHostName(host);
    parseAnnounceAddress(place(1).dial);
  });
  return place;
}

/** RFC 1123, section 2.1: labels of letters, digits and hyphens, the last one not a number. Throws `malformed`. */
function checkHostName(host: string): void {
  const labels = host.split(".");
  const isLabel = (label: string): boolean => /^(?!-)[A-Za-z0-9-]{1,63}(?<!-)$/.test(label);
  if (host.length <= 253 && labels.every(isLabel) && !/^\d+$/.test(labels.at(-1) ?? "")) return;
  throw new BridgeError("malformed", `${JSON.stringify(host)} is no IP address and no host name`, {
    fix: "for example --host 10.0.0.5 or --host members.example.org",
  });
}

function thresholdOf(values: Values, members: number): number {
  const majority = Math.floor(members / 2) + 1;
  return integerOption(values, "threshold", majority, majority, members);
}

function currencyOf(values: Values): string {
  const currency = values.text("currency") ?? "USD";
  if (CURRENCY.test(currency)) return currency;
  throw new BridgeError("bad-argument", `--currency ${JSON.stringify(currency)} is no code`, {
    fix: "write 3 to 8 capital letters, such as USD",
  });
}

function write(dir: string, ceremony: Ceremony, place: (index: number) => Place): void {
  try {
    writeCeremony(dir, ceremony, place);
  } catch (error) {
    if (error instanceof BridgeError) throw error;
    const { problem, fix } = explainFault(error);
    throw new BridgeError("bad-argument", `--dir: ${dir} ${problem}`, { fix });
  }
}

function show(dir: string, { coalition, secrets }: Ceremony, json: boolean): void {
  const fingerprint = toHex(coalition.fingerprint);
  const { faulty, grantThreshold: threshold } = coalition.file.committee;
  const members = secrets.length;
  if (json) {
    printJson({ ok: true, dir, fingerprint, members, threshold, faulty });
    return;
  }
  print(`coalition ${join(dir, COALITION_FILE)}`);
  print(`fingerprint ${fingerprint}  (requesters pin this)`);
  print(
    `${members} members, threshold ${threshold}: tolerates ${members - threshold} silent and ${faulty} lying`,
  );
  for (const { index } of secrets) {
    const config = join(memberFolder(dir, index), MEMBER_FILE);
    print(`start member ${index}: compute-bridge coalition run --config ${config}`);
  }
}
