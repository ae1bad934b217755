/**
 * Every way to cut a coalition in two around one release: the partition comes right after the grant or after 1 to t shares,
 * for every choice of members that have given one, every choice of members that are cut off together with the grant's
 * provider, and with or without a power cut of those that gave. Each cell must end with at most one machine.
 */
import { equal } from "../../src/base/bytes.ts";
import { SECOND_MS } from "../../src/base/limits.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import { SHARE_PROTOCOL } from "../../src/zipnet/unseal.ts";
import type { Faults } from "./faults.ts";
import type { MemberHost } from "./member-host.ts";
import { type Setting, type SimOptions, type SimResult, simulate } from "./simulate.ts";

export interface Cell {
  /** The members that have given their share when the partition comes. */
  readonly given: readonly number[];
  /** The members on the provider's side of it. */
  readonly apart: readonly number[];
  /** Those that gave lose power, and with it the records that say so; their ballots stay. */
  readonly powerCut: boolean;
}

/** Long enough for the other side to find the attempt passed, grant the next one and start its machine. */
const PARTED_MS = 32 * SECOND_MS;
/** From healing to the moment when the tenants are done with their machines. */
const STAY_MS = 18 * SECOND_MS;
const DOWN_MS = 3 * SECOND_MS;
/** What a member's records file may lose; the admission and the grant are younger. */
const LOST_MS = 10 * SECOND_MS;

export function cellsOf(members: 3 | 4): Cell[] {
  const indexes = Array.from({ length: members }, (_, i) => i + 1);
  const threshold = members - 1;
  const cells: Cell[] = [];
  for (const given of subsets(indexes)) {
    if (given.length > threshold) continue;
    for (const apart of subsets(indexes)) {
      for (const powerCut of given.length === 0 ? [false] : [false, true])
        cells.push({ given, apart, powerCut });
    }
  }
  return cells;
}

export function cellName({ given, apart, powerCut }: Cell): string {
  const list = (members: readonly number[]): string => members.join("+") || "none";
  return `shares of ${list(given)}, apart ${list(apart)}${powerCut ? ", power cut" : ""}`;
}

export async function runCell(
  cell: Cell,
  options: Omit<SimOptions, "plan" | "faults">,
): Promise<SimResult> {
  const plan = {
    requests: 1,
    providers: 2,
    phaseMs: PARTED_MS + 2 * SECOND_MS,
    arm: (setting: Setting) => arm(setting, cell),
  };
  return await simulate({ ...options, plan });
}

function arm(setting: Setting, cell: Cell): Faults {
  const { clock, members, network, observer, providers } = setting;
  const givers = members.filter(({ index }) => cell.given.includes(index));
  const silent = members.filter((member) => !givers.includes(member)).map(({ peer }) => peer);
  const waited = new Set(cell.given);
  let struck = false;

  observer.onGrant = (grant) => {
    if (waited.size === 0) strike(grant);
  };
  observer.onShare = (grant, member) => {
    waited.delete(member);
    if (waited.size === 0) strike(grant);
  };
  network.rule = ({ protocol, to, channel }) =>
    channel === "request" && protocol === SHARE_PROTOCOL && silent.includes(to)
      ? "lose"
      : undefined;

  return {
    async heal() {
      if (!struck) observer.breach("the moment of this cell never came");
      observer.note("healed");
      network.heal();
      await clock.advance(STAY_MS);
      for (const machine of setting.machines())
        if (machine.state === "running") setting.endMachine(machine);
    },
  };

  function strike(grant: ComputeGrant): void {
    if (struck) return;
    struck = true;
    network.rule = undefined;
    observer.note(`the moment of: ${cellName(cell)}`);
    observer.counts.partitions += 1;
    const granted = providers.flatMap(({ provider, peer }) =>
      peer !== undefined && provider && equal(provider.context.providerId, grant.providerId)
        ? [peer]
        : [],
    );
    const apart = members.filter(({ index }) => cell.apart.includes(index));
    network.partition([...granted, ...apart.flatMap(({ peer }) => peer ?? [])]);
    void clock.sleep(PARTED_MS).then(() => network.heal());
    if (cell.powerCut) for (const member of givers) void cutPower(member);
  }

  async function cutPower(member: MemberHost): Promise<void> {
    observer.counts.crashes += 1;
    observer.note(`${member.name} dies`);
    await member.crash();
    member.loseRecords(clock.nowMs() - LOST_MS);
    await clock.sleep(DOWN_MS);
    await member.start();
  }
}

function subsets<T>(of: readonly T[]): T[][] {
  return Array.from({ length: 2 ** of.length }, (_, bits) => of.filter((_, i) => bits & (1 << i)));
}
