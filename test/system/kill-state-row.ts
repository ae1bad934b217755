/** One row of the matrix: the provider is killed in one state of a grant, starts again, and the grant ends as it should. */
import type { RegionClass } from "../../src/coalition/classes.ts";
import type { GrantStateName } from "../../src/ledger/state.ts";
import { eventually } from "../support/eventually.ts";
import { type Asked, beTenant, compose } from "./kill-ask.ts";
import { idOf } from "./kill-endings.ts";
import { killMachine, type MachineWatch, machineProcesses, nextMachine } from "./kill-machines.ts";
import { PLANS, type Plan } from "./kill-plans.ts";
import type { Finding } from "./kill-report.ts";
import { SETTLE_MS, settled } from "./kill-settled.ts";
import type { Stage } from "./kill-stage.ts";
import type { Victim } from "./kill-victim.ts";

const TRIES_MAX = 8; // some states last for less than a millisecond
const PASSED = "refused superseded";

export interface StateRow {
  readonly name: string;
  readonly state: GrantStateName;
  readonly journal: "kept" | "deleted";
  /** Not at once, but as soon as the backend has started the machine's process. */
  readonly withMachine?: true;
}

export interface Lane {
  readonly stage: Stage;
  readonly watch: MachineWatch;
  readonly victim: Victim;
  readonly regionClass: RegionClass;
}

/** As often as it takes to catch the state; every miss is a kill as good as another, and is reported, too. */
export async function stateRow(lane: Lane, row: StateRow): Promise<Finding[]> {
  const findings: Finding[] = [];
  while (findings.length < TRIES_MAX) {
    const finding = await oneKill(lane, row);
    findings.push(finding);
    if (finding.onDisk === row.state || finding.problems.length > 0) return findings;
  }
  const [last] = findings.splice(-1);
  if (last === undefined) return findings;
  const never = `no kill found a grant ${row.state} on disk in ${TRIES_MAX} tries`;
  return [...findings, { ...last, problems: [never] }];
}

async function oneKill(lane: Lane, row: StateRow): Promise<Finding> {
  const over = new AbortController();
  try {
    return await killOnce(lane, row, over);
  } finally {
    over.abort();
  }
}

/** `over` ends the tenant's part. */
async function killOnce(lane: Lane, row: StateRow, over: AbortController): Promise<Finding> {
  const { stage, watch, victim, regionClass } = lane;
  const { name, state, journal, withMachine = false } = row;
  const plan = PLANS[state];
  const mark = victim.mark();
  const before = machineProcesses(victim);
  const asked = compose(stage, { regionClass, ...(plan.egress && { egress: plan.egress }) });
  await asked.send();
  const back = Promise.withResolvers<void>();
  const tenant = beTenant(
    asked,
    plan.drive === "end" ? Promise.resolve() : back.promise,
    over.signal,
  );
  if (plan.drive === "break") killMachine(await nextMachine([victim], before));
  if (plan.from === undefined) await victim.reached(state, mark);
  else {
    await victim.reached(plan.from, mark);
    victim.catchNext(state, mark);
  }
  if (withMachine) await nextMachine([victim], before);
  const killed = victim.pid();
  await victim.kill();
  const onDisk = stateOf(victim, asked.requestId, state);
  if (journal === "deleted") victim.loseJournal();
  await victim.start();
  if (journal === "deleted") await takenBack(lane, asked);
  back.resolve();
  const end = await settled(stage, watch, asked, [victim]);
  over.abort();
  const complaints = await tenant;
  // A machine that had to be ended may have been reached just before.
  const problems = [...end.problems, ...(end.ending.endsWith("completed") ? complaints : [])];
  const allowed = allowedEndings(state, onDisk, journal);
  if (!allowed.includes(lastWords(end.endings)))
    problems.push(`ended ${end.ending}, not ${allowed.join(" or ")}`);
  return {
    row: name,
    kill: withMachine ? `provider, ${state}, machine there` : `provider, ${state}`,
    onDisk,
    killed: [killed],
    after: [victim.pid()],
    machines: end.machines,
    ending: end.ending,
    problems: problems.length === 0 ? problems : [...problems, victim.tail()],
  };
}

/** A machine that ends before it has been found again is one of which nobody knows how it ended. */
async function takenBack({ stage, victim }: Lane, asked: Asked): Promise<void> {
  const { endings } = stage;
  await eventually(
    `${victim.name} has its grant back`,
    () =>
      victim.saw("delivered", 0) ||
      endings.grants(asked.requestId).some((grant) => endings.of(idOf(grant)).length > 0),
    SETTLE_MS,
  );
}

/** The state aimed at, if any attempt of the request is in it; else that of the newest attempt. */
function stateOf(victim: Victim, requestId: string, aim: GrantStateName): string {
  const rows = [...victim.onDisk()].filter(([key]) => key.startsWith(requestId)).sort();
  return (rows.find(([, state]) => state === aim) ?? rows.at(-1))?.[1] ?? "-";
}

/**
 * Without attempts that were passed over: a member that dies between signing a grant and passing it on, in another
 * lane's row, has the others make a second one, and the first is refused as superseded when it comes to light.
 */
function lastWords(endings: readonly string[]): string {
  return endings.filter((word, at) => at === endings.length - 1 || word !== PASSED).join(", ");
}

/** By the state that was on disk; when that is not the one aimed at, what the aim brings about is right, too. */
function allowedEndings(
  aim: GrantStateName,
  onDisk: string,
  journal: StateRow["journal"],
): readonly string[] {
  const which = journal === "kept" ? "kept" : "lost";
  const plan: Plan | undefined = PLANS[onDisk as GrantStateName];
  const missed = aim === onDisk ? [] : [...PLANS[aim][which], ...(PLANS[aim].missed ?? [])];
  return [...(plan?.[which] ?? []), ...missed];
}
