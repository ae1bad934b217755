/** Kills at moments taken from the seed: providers with and without their journals, members and machines. */
import { must } from "../../src/base/assert.ts";
import { seededRandom } from "../support/arbitraries.ts";
import { compose } from "./kill-ask.ts";
import { type FaultLane, killMember } from "./kill-fault-rows.ts";
import { killMachine, machineProcesses } from "./kill-machines.ts";
import type { Finding } from "./kill-report.ts";
import { settled } from "./kill-settled.ts";
import { beTenant } from "./kill-state-row.ts";

const REQUESTS = 3;
const KILLS = 8;
const PAUSE_MS_MAX = 1500; // a grant takes about as long from request to receipt
const DOWN_MS_MAX = 500;

export const CHAOS_ROWS = Array.from(
  { length: REQUESTS },
  (_, at) => `at random, request ${at + 1}`,
);

/** One finding for each request; the kills are told with the first. */
export async function chaos(lane: FaultLane, seed: number): Promise<Finding[]> {
  const { stage, watch, victims, regionClass } = lane;
  const below = seededRandom(seed);
  const over = new AbortController();
  const asked = CHAOS_ROWS.map(() => compose(stage, { regionClass }));
  const back = Promise.withResolvers<void>();
  const tenants = asked.map((one) => beTenant(one, back.promise, over.signal));
  const sent = asked.map((one) => one.send());
  const kills: string[] = [];
  const killed: number[] = [];
  const after: number[] = [];
  while (kills.length < KILLS) {
    await Bun.sleep(below(PAUSE_MS_MAX));
    const hit = await strike(lane, below);
    kills.push(hit.what);
    killed.push(...hit.killed);
    after.push(...hit.after);
  }
  await Promise.all(sent);
  back.resolve();
  const ends = await Promise.all(asked.map((one) => settled(stage, watch, one, victims)));
  over.abort();
  const complaints = await Promise.all(tenants);
  return ends.map((end, at) => {
    const wrong = end.ending.endsWith("completed") ? (complaints[at] ?? []) : [];
    return {
      row: must(CHAOS_ROWS[at], "one row for each request"),
      kill: at === 0 ? kills.join(", ") : "the same",
      onDisk: "",
      killed: at === 0 ? killed : [],
      after: at === 0 ? after : [],
      ...end,
      problems: [...end.problems, ...wrong],
    };
  });
}

interface Hit {
  readonly what: string;
  readonly killed: readonly number[];
  readonly after: readonly number[];
}

async function strike(
  { stage, victims }: FaultLane,
  below: (count: number) => number,
): Promise<Hit> {
  const victim = must(victims[below(victims.length)], "a provider");
  const kind = below(8);
  const downMs = below(DOWN_MS_MAX);
  if (kind === 0) {
    const index = 1 + below(stage.members.size);
    return { what: `member ${index}`, ...(await killMember(stage, index)) };
  }
  if (kind === 1) {
    const machine = machineProcesses(victim).find(killMachine);
    if (machine === undefined) return { what: "no machine", killed: [], after: [] };
    return { what: "machine", killed: [machine.pid], after: [] };
  }
  const killed = victim.pid();
  await victim.kill();
  const loses = below(4) === 0;
  if (loses) victim.loseJournal();
  await Bun.sleep(downMs);
  await victim.start();
  const what = loses ? `${victim.name} and its journal` : victim.name;
  return { what, killed: [killed], after: [victim.pid()] };
}
