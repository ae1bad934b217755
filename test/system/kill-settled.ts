/** When a row is over, and whether all is well then. */
import { REGRANTABLE_CODES } from "../../src/coalition/grant.ts";
import { eventually } from "../support/eventually.ts";
import type { Asked } from "./kill-ask.ts";
import { idOf } from "./kill-endings.ts";
import { type MachineWatch, processesIn } from "./kill-machines.ts";
import type { Stage } from "./kill-stage.ts";
import type { Victim } from "./kill-victim.ts";
import { PATIENCE_MS } from "./support/processes.ts";

export const SETTLE_MS = 180_000; // a lost journal costs half a minute of looking, a barred attempt some ticks
const GIVEN_BACK = REGRANTABLE_CODES.map((code) => `refused ${code}`);

export interface Settled {
  /** For each grant: how many machines the backend ever listed, and how many at once at most. */
  readonly machines: string;
  /** Of each grant, first attempt first. */
  readonly endings: readonly string[];
  readonly ending: string;
  readonly problems: string[];
}

/**
 * Waits until every grant of the request has ended and no other provider of `victims` may still be granted it, and
 * until the backends list nothing, no process is left, and the providers have nothing to do.
 */
export async function settled(
  { endings }: Stage,
  watch: MachineWatch,
  asked: Asked,
  victims: readonly Victim[],
): Promise<Settled> {
  const ids = (): string[] => endings.grants(asked.requestId).map(idOf);
  const over = (): boolean => {
    const grants = ids();
    if (!grants.every((grant) => endings.of(grant).length > 0)) return false;
    if (asked.hopeless()) return true;
    const last = grants.at(-1);
    if (last === undefined) return false;
    const goesOn = endings.of(last).some((ending) => GIVEN_BACK.includes(ending));
    return !goesOn || grants.length >= victims.length;
  };
  const problems: string[] = [];
  const left = async (): Promise<string[]> => {
    const listed = await Promise.all(victims.map((victim) => watch.living(victim, ids())));
    const live = await Promise.all(
      victims.map(async (victim) =>
        (await victim.live()) === 0 ? [] : [`${victim.name} is busy`],
      ),
    );
    const running = victims.flatMap((victim) =>
      processesIn(victim.machinesDir).map(({ pid, command }) => `process ${pid} ${command}`),
    );
    return [...listed.flat(), ...live.flat(), ...running];
  };
  try {
    await eventually("every grant has ended", over, SETTLE_MS);
    await eventually("nothing is left", async () => (await left()).length === 0, PATIENCE_MS);
  } catch (error) {
    problems.push(String(error), ...(await left()));
  }
  const grants = ids();
  for (const grant of grants) {
    problems.push(...wrong(grant, endings.of(grant), watch));
    const others = grants.filter((other) => watch.sighting(grant).beside.has(other));
    if (others.length > 0)
      problems.push(`two grants of one request had machines at once: ${others}`);
  }
  const words = grants.map((grant) => endings.of(grant).join(" and "));
  const together = grants.map((grant) => watch.sighting(grant));
  return {
    machines: together.map((one) => `${one.machines.size} (${one.mostAtOnce} at once)`).join(", "),
    endings: words,
    ending: words.join(", ") || "no grant",
    problems,
  };
}

/** What no grant may ever show. */
export function wrong(grant: string, endings: readonly string[], watch: MachineWatch): string[] {
  const { machines, mostAtOnce } = watch.sighting(grant);
  const short = grant.slice(0, 12);
  return [
    ...(endings.length === 1 ? [] : [`grant ${short} has ${endings.length} endings: ${endings}`]),
    ...(mostAtOnce <= 1 ? [] : [`grant ${short} had ${mostAtOnce} machines: ${[...machines]}`]),
  ];
}
