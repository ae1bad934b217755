/**
 * Rows in which somebody else is killed: members in the middle of a signature or an opening, machines, everybody at
 * moments taken from the seed. Two providers serve these requests, so that a grant given back finds a taker.
 */
import { must } from "../../src/base/assert.ts";
import { fromHex } from "../../src/base/bytes.ts";
import type { RegionClass } from "../../src/coalition/classes.ts";
import { proposerOf } from "../../src/coalition/clearing.ts";
import { type Asked, beTenant, compose } from "./kill-ask.ts";
import { type Promised, promised, promisesOf } from "./kill-committee.ts";
import { killMachine, type MachineWatch, machineProcesses, nextMachine } from "./kill-machines.ts";
import type { Finding } from "./kill-report.ts";
import { type Settled, settled } from "./kill-settled.ts";
import type { Stage } from "./kill-stage.ts";
import type { Victim } from "./kill-victim.ts";

const MEMBERS = 3;

export interface FaultLane {
  readonly stage: Stage;
  readonly watch: MachineWatch;
  readonly victims: readonly Victim[];
  readonly regionClass: RegionClass;
}

export interface FaultRow {
  readonly name: string;
  run(lane: FaultLane, name: string): Promise<Finding>;
}

/** A provider may have had to give the grant back before a quorum was there again. */
const SERVED = ["completed", "refused unavailable, completed", "refused superseded, completed"];

export const FAULT_ROWS: readonly FaultRow[] = [
  { name: "the proposer, after its vote", run: (lane, name) => memberRow(lane, name, "vote", [0]) },
  { name: "a voter, after its vote", run: (lane, name) => memberRow(lane, name, "vote", [1, 2]) },
  {
    name: "a member, after its release",
    run: (lane, name) => memberRow(lane, name, "release", [0, 1, 2]),
  },
  { name: "two members, after a release", run: (lane, name) => quorumRow(lane, name) },
  { name: "a machine that comes up", run: (lane, name) => brokenStartRow(lane, name) },
  { name: "a machine in use", run: (lane, name) => lostMachineRow(lane, name, false) },
  { name: "a machine and its provider", run: (lane, name) => lostMachineRow(lane, name, true) },
];

/** The first of these members to promise; `offsets` count from the one that proposes in the first attempt. */
function memberRow(
  lane: FaultLane,
  name: string,
  what: Promised,
  offsets: readonly number[],
): Promise<Finding> {
  return during(lane, name, {
    ...{ allowed: SERVED, tenant: true },
    async act({ requestId }) {
      const proposer = proposerOf(fromHex(requestId), 1, MEMBERS);
      const indexes = offsets.map((offset) => ((proposer - 1 + offset) % MEMBERS) + 1);
      const first = await promised(lane.stage, indexes, what, requestId);
      return await killMember(lane.stage, first, requestId);
    },
  });
}

/** Too few are left to open anything, until they are back. */
function quorumRow(lane: FaultLane, name: string): Promise<Finding> {
  const { stage } = lane;
  return during(lane, name, {
    ...{ allowed: SERVED, tenant: true },
    async act({ requestId }) {
      const members = [...stage.members.keys()];
      const first = await promised(stage, members, "release", requestId);
      const others = members.filter((index) => index !== first);
      const kills = await Promise.all(others.map((one) => killMember(stage, one, requestId)));
      return {
        kill: kills.map(({ kill }) => kill).join(" and "),
        onDisk: kills.map(({ onDisk }) => onDisk).join(" and "),
        killed: kills.flatMap(({ killed }) => killed),
        after: kills.flatMap(({ after }) => after),
      };
    },
  });
}

/** The grant is given back, and the other provider serves it. */
function brokenStartRow(lane: FaultLane, name: string): Promise<Finding> {
  const { victims } = lane;
  const before = victims.flatMap(machineProcesses);
  return during(lane, name, {
    // Under load it may be up before it is killed.
    ...{ allowed: ["refused unavailable, completed", "failed"], tenant: true },
    async act() {
      const machine = await nextMachine(victims, before);
      killMachine(machine);
      return { kill: "machine", onDisk: "", killed: [machine.pid], after: [] };
    },
  });
}

/** The tenant's own processes must not outlive the machine, even in a session of their own. */
function lostMachineRow(lane: FaultLane, name: string, providerToo: boolean): Promise<Finding> {
  const { victims } = lane;
  const before = victims.flatMap(machineProcesses);
  return during(lane, name, {
    ...{ allowed: ["failed"], tenant: false },
    async act(asked, signal) {
      const machine = must(await asked.receipt(signal), "nothing stands in this request's way");
      await machine.run("setsid sleep 600 >/dev/null 2>&1 </dev/null & echo started");
      const { home, ...itself } = await nextMachine(victims, before);
      const provider = home.pid();
      killMachine(itself);
      if (!providerToo) return { kill: "machine", onDisk: "", killed: [itself.pid], after: [] };
      await home.kill();
      await home.start();
      const killed = [itself.pid, provider];
      return { kill: "machine and provider", onDisk: "", killed, after: [home.pid()] };
    },
  });
}

export type Killed = Pick<Finding, "kill" | "onDisk" | "killed" | "after">;

/** And starts it again. `onDisk` is what its ballot held of the request, if one is named. */
export async function killMember(stage: Stage, index: number, requestId?: string): Promise<Killed> {
  const member = must(stage.members.get(index), "a member of the stage");
  member.kill("SIGKILL");
  await member.ended;
  const onDisk = requestId === undefined ? "" : promisesOf(stage, index, requestId).join(", ");
  const next = await stage.coalition.startMember(index);
  stage.members.set(index, next);
  return { kill: `member ${index}`, onDisk, killed: [member.pid], after: [next.pid] };
}

interface Strike {
  readonly allowed: readonly string[];
  /** Whether somebody else than `act` is the tenant, who logs in and powers off. */
  readonly tenant: boolean;
  /** Kills, and starts again what was killed. The request is on its way, not more. */
  act(asked: Asked, signal: AbortSignal): Promise<Killed>;
}

async function during(lane: FaultLane, name: string, strike: Strike): Promise<Finding> {
  const { stage, watch, victims, regionClass } = lane;
  const asked = compose(stage, { regionClass });
  const over = new AbortController();
  let tenant: Promise<string[]> | undefined;
  let kill: Killed;
  let end: Settled;
  try {
    [kill] = await Promise.all([strike.act(asked, over.signal), asked.send()]);
    if (strike.tenant) tenant = beTenant(asked, Promise.resolve(), over.signal);
    end = await settled(stage, watch, asked, victims);
  } finally {
    over.abort();
  }
  const complaints = (await tenant) ?? [];
  const problems = [...end.problems, ...(end.ending.endsWith("completed") ? complaints : [])];
  if (!strike.allowed.includes(end.ending))
    problems.push(`ended ${end.ending}, not ${strike.allowed.join(" or ")}`);
  if (problems.length > 0) problems.push(...victims.map((victim) => victim.tail()));
  return { row: name, ...kill, machines: end.machines, ending: end.ending, problems };
}
