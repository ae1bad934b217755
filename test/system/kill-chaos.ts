/** Kills at moments taken from the seed: providers with and without their journals, members and machines. */
import { must } from "../../src/base/assert.ts";
import { seededRandom } from "../support/arbitraries.ts";
import { beTenant, compose } from "./kill-ask.ts";
import { type FaultLane, type Killed, killMember } from "./kill-fault-rows.ts";
import { killMachine, machineProcesses } from "./kill-machines.ts";
import type { Finding } from "./kill-report.ts";
import { settled } from "./kill-settled.ts";

const REQUESTS = 3;
const KILLS = 8;
const PAUSE_MS_MAX = 1500; // a grant takes about as long from request to receipt
const DOWN_MS_MAX = 500;

export const CHAOS_ROWS = Array.from(
  { length: REQUESTS },
  (_, at) => `at random, request ${at + 1}`,
);

/** One finding for each kill, then one for each request. */
export async function chaos(lane: FaultLane, seed: number): Promise<Finding[]> {
  const { stage, watch, victims, regionClass } = lane;
  const below = seededRandom(seed);
  const over = new AbortController();
  const asked = CHAOS_ROWS.map(() => compose(stage, { regionClass }));
  const back = Promise.withResolvers<void>();
  const tenants = asked.map((one) => beTenant(one, back.promise, over.signal));
  const sent = Promise.all(asked.map((one) => one.send()));
  sent.catch(() => {}); // it is waited for below
  const kills: Killed[] = [];
  while (kills.length < KILLS) {
    await Bun.sleep(below(PAUSE_MS_MAX));
    kills.push(await strike(lane, below));
  }
  await sent;
  back.resolve();
  const ends = await Promise.all(asked.map((one) => settled(stage, watch, one, victims)));
  over.abort();
  const complaints = await Promise.all(tenants);
  return [
    ...kills.map((kill, at): Finding => {
      return { row: `at random, kill ${at + 1}`, ...kill, machines: "", ending: "", problems: [] };
    }),
    ...ends.map(({ machines, ending, problems }, at): Finding => {
      const row = must(CHAOS_ROWS[at], "one row for each request");
      const wrong = ending.endsWith("completed") ? (complaints[at] ?? []) : [];
      const kill = { kill: "", onDisk: "", killed: [], after: [] };
      return { row, ...kill, machines, ending, problems: [...problems, ...wrong] };
    }),
  ];
}

/** Kills one thing and starts it again. */
async function strike(
  { stage, victims }: FaultLane,
  below: (count: number) => number,
): Promise<Killed> {
  const victim = must(victims[below(victims.length)], "a provider");
  const kind = below(8);
  const downMs = below(DOWN_MS_MAX);
  if (kind === 0) return await killMember(stage, 1 + below(stage.members.size));
  if (kind === 1) {
    const machine = machineProcesses(victim).find(killMachine);
    if (machine === undefined) return { kill: "no machine", onDisk: "", killed: [], after: [] };
    return { kill: "machine", onDisk: "", killed: [machine.pid], after: [] };
  }
  const killed = [victim.pid()];
  await victim.kill();
  const onDisk = [...victim.onDisk().values()].filter((state) => state !== "closed").join(" ");
  const loses = below(4) === 0;
  if (loses) victim.loseJournal();
  await Bun.sleep(downMs);
  await victim.start();
  const kill = loses ? `${victim.name} and its journal` : victim.name;
  return { kill, onDisk, killed, after: [victim.pid()] };
}
