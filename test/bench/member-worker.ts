/** One committee member in a process of its own, as `coalition run` starts it, and an echo to measure round trips. */
import { mkdirSync } from "node:fs";
import { systemClock } from "../../src/base/clock.ts";
import { stderrLogger } from "../../src/base/log.ts";
import { readCoalition } from "../../src/coalition/config.ts";
import { loadMemberConfig, readConfigFile } from "../../src/config/load.ts";
import { readSeed } from "../../src/config/secrets.ts";
import { type RunningMember, startMember } from "../../src/member.ts";
import { cpuMs } from "./process-figures.ts";
import { serve } from "./worker.ts";

export const ECHO_PROTOCOL = "/compute-bridge/bench-echo/1";
const ECHO_BYTES_MAX = 1024;

let member: RunningMember | undefined;

const running = (): RunningMember => {
  if (member === undefined) throw new Error("the member is not started");
  return member;
};

const calls = {
  async start({ configFile }: { configFile: string }): Promise<void> {
    const { config } = loadMemberConfig(readConfigFile(configFile), { env: {} });
    mkdirSync(config.member.stateDir, { recursive: true, mode: 0o700 });
    member = await startMember({
      coalition: readCoalition(config.coalition.file),
      index: config.member.index,
      seed: readSeed(config.member.key, {}),
      grantShare: readSeed(config.member.grantShare, {}),
      unsealShare: readSeed(config.member.unsealShare, {}),
      stateDir: config.member.stateDir,
      listen: config.network.listen,
      announce: [],
      clock: systemClock,
      log: stderrLogger("error"),
    });
    member.network.node.handle(ECHO_PROTOCOL, ECHO_BYTES_MAX, (_peer, body) => body);
  },
  standingTick: () => running().records.tick(),
  /** Throws when one is refused. */
  take({ records }: { records: readonly Uint8Array[] }): void {
    const { store } = running().network.replica;
    for (const record of records) store.offer(record);
  },
  cpuMs,
};
export type MemberCalls = typeof calls;

if (import.meta.main) serve(calls);
