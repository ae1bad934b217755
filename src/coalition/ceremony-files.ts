/** The files of a ceremony: the public one, and one folder per member with its secrets and its configuration. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex, utf8 } from "../base/bytes.ts";
import type { Ceremony, MemberSecrets } from "./ceremony.ts";
import { parseCoalition } from "./config.ts";

export const COALITION_FILE = "coalition.toml";
export const MEMBER_FILE = "member.toml";

/** Where a member listens, and what it tells its peers when that is something else. */
export interface MemberPlace {
  readonly listen: string;
  readonly announce?: string;
}

export function memberFolder(dir: string, index: number): string {
  return join(dir, `member-${index}`);
}

/**
 * One folder per member: move each to its own machine, and keep none behind. Nothing is overwritten, and nothing is
 * written that would not be accepted when it is read: throws `config-invalid` for that, and the system's own errors.
 */
export function writeCeremony(
  dir: string,
  { toml, secrets }: Ceremony,
  place: (index: number) => MemberPlace,
): void {
  const file = join(dir, COALITION_FILE);
  parseCoalition(utf8(toml), file);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  for (const member of secrets) writeMember(dir, member, place(member.index));
  writeFileSync(file, toml, { flag: "wx" });
}

function writeMember(dir: string, member: MemberSecrets, { listen, announce }: MemberPlace): void {
  const folder = memberFolder(dir, member.index);
  mkdirSync(folder, { mode: 0o700 });
  const secret = (name: string, bytes: Uint8Array): void =>
    writeFileSync(join(folder, name), `${toHex(bytes)}\n`, { mode: 0o600, flag: "wx" });
  secret("member.key", member.seed);
  secret("grant.share", member.grantShare);
  secret("unseal.share", member.unsealShare);
  const lines = [
    "version = 1",
    "",
    "[member]",
    `index = ${member.index}`,
    'stateDir = "state"',
    'key = "file:member.key"',
    'grantShare = "file:grant.share"',
    'unsealShare = "file:unseal.share"',
    "",
    "[coalition]",
    `file = "../${COALITION_FILE}"`,
    "",
    "[network]",
    `listen = ["${listen}"]`,
    ...(announce === undefined ? [] : [`announce = ["${announce}"]`]),
    "",
  ];
  writeFileSync(join(folder, MEMBER_FILE), lines.join("\n"));
}
