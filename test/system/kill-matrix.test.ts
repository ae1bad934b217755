/**
 * SIGKILL wherever it can hurt: the provider in every state of a grant's life, members in the middle of a signature,
 * machines, and at moments taken from the seed. After every restart: at most one machine per grant at any time, exactly
 * one final log or refusal, and nothing left, neither a machine nor a process.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { REGION_CLASSES, type RegionClass } from "../../src/coalition/classes.ts";
import { GRANT_STATES } from "../../src/ledger/state.ts";
import { CHAOS_ROWS, chaos } from "./kill-chaos.ts";
import { brokenPromises } from "./kill-committee.ts";
import { idOf } from "./kill-endings.ts";
import { FAULT_ROWS } from "./kill-fault-rows.ts";
import {
  killMachine,
  type MachineWatch,
  machineProcesses,
  processesIn,
  watchMachines,
} from "./kill-machines.ts";
import { broken, type Finding, table } from "./kill-report.ts";
import { wrong } from "./kill-settled.ts";
import { openStage, type Stage } from "./kill-stage.ts";
import { type StateRow, stateRow } from "./kill-state-row.ts";
import { makeVictim, type Victim } from "./kill-victim.ts";

const SEED = Number(process.env.BRIDGE_SEED ?? 1);

const rowsOf = (journal: StateRow["journal"], states: readonly StateRow["state"][]): StateRow[] =>
  states.map((state) => ({ name: `${state}, journal ${journal}`, state, journal }));

const withMachine = (journal: StateRow["journal"]): StateRow => {
  const name = `provisioning with a machine, journal ${journal}`;
  return { name, state: "provisioning", journal, withMachine: true };
};

/**
 * Rows of one lane follow each other on one provider. Lanes run side by side, each in a region of its own: without a
 * journal a provider that finds no machine looks again half a minute later.
 */
const STATE_LANES: readonly (readonly StateRow[])[] = [
  [...rowsOf("kept", GRANT_STATES), withMachine("kept")],
  [...rowsOf("deleted", ["running", "delivered", "terminating", "closed"]), withMachine("deleted")],
  rowsOf("deleted", ["provisioning", "resolved"]),
  rowsOf("deleted", ["received", "logged"]),
  rowsOf("deleted", ["refused", "failed"]),
];
const STATE_ROWS = STATE_LANES.flat();

const CHAOS = "at random";

const found = new Map<string, readonly Finding[]>();
const victims: Victim[] = [];
const exitCodes: (number | null)[] = [];
let stage: Stage;
let watch: MachineWatch;

beforeAll(async () => {
  stage = await openStage();
  watch = watchMachines();
  try {
    await Promise.all([...STATE_LANES.map(runStates), runFaults()]);
    exitCodes.push(...(await Promise.all(victims.map((victim) => victim.drain()))));
  } finally {
    const names = [...STATE_ROWS, ...FAULT_ROWS].map(({ name }) => name);
    const findings = [...names, CHAOS].flatMap((name) => found.get(name) ?? []);
    console.log(`seed ${SEED}\n${table(findings)}`);
  }
});

afterAll(async () => {
  await watch?.stop();
  await stage?.close();
});

/** A region of its own for each lane; the first of the list is no region. */
function regionOf(lane: number): RegionClass {
  return REGION_CLASSES[lane + 1] ?? "any";
}

async function startVictim(name: string, regionClass: RegionClass): Promise<Victim> {
  const { sandbox, program, coalition } = stage;
  const place = { root: sandbox.root, program, coalitionFile: coalition.file };
  const victim = makeVictim({ ...place, name, regionClass });
  victims.push(victim);
  watch.watch(victim);
  await victim.start();
  return victim;
}

async function runStates(rows: readonly StateRow[], lane: number): Promise<void> {
  const regionClass = regionOf(lane);
  const victim = await startVictim(`provider-${lane + 1}`, regionClass);
  for (const row of rows) {
    const findings = await stateRow({ stage, watch, victim, regionClass }, row).catch(
      (error: unknown) => [broken(row.name, error)],
    );
    found.set(row.name, findings);
    if (findings.some(({ problems }) => problems.length > 0)) await restart(victim);
  }
}

async function runFaults(): Promise<void> {
  const regionClass = regionOf(STATE_LANES.length);
  const pair = ["provider-a", "provider-b"].map((name) => startVictim(name, regionClass));
  const lane = { stage, watch, victims: await Promise.all(pair), regionClass };
  for (const { name, run } of FAULT_ROWS) {
    found.set(name, [await run(lane, name).catch((error: unknown) => broken(name, error))]);
  }
  found.set(CHAOS, await chaos(lane, SEED).catch((error: unknown) => [broken(CHAOS, error)]));
}

/** Whatever a failed row has left it in; its machines must not spoil the next one. */
async function restart(victim: Victim): Promise<void> {
  await victim.kill();
  for (const machine of machineProcesses(victim)) killMachine(machine);
  await victim.start();
}

function check(row: string): void {
  const findings = found.get(row) ?? [];
  expect(findings.flatMap(({ problems }) => problems)).toEqual([]);
  expect(findings.length).toBeGreaterThan(0);
}

describe("the provider killed", () => {
  for (const { name } of STATE_ROWS) test(name, () => check(name));

  test("in every state there is, with the journal kept and without it", () => {
    for (const journal of ["kept", "deleted"] as const) {
      const states = STATE_ROWS.filter((row) => row.journal === journal).map(({ state }) => state);
      expect(new Set(states)).toEqual(new Set(GRANT_STATES));
    }
  });
});

describe("killed", () => {
  for (const { name } of FAULT_ROWS) test(name, () => check(name));

  test("anybody, at moments taken from the seed", () => {
    check(CHAOS);
    const requests = found.get(CHAOS)?.filter(({ row }) => CHAOS_ROWS.includes(row));
    expect(requests?.length).toBe(CHAOS_ROWS.length);
  });
});

describe("when all is over", () => {
  test("every grant has one ending and never had two machines at once", () => {
    const grants = [...stage.requester.records.grants.values()].map(({ body }) => idOf(body));
    expect(grants.flatMap((id) => wrong(id, stage.endings.of(id), watch))).toEqual([]);
    expect(grants.length).toBeGreaterThanOrEqual(STATE_ROWS.length);
  });

  test("no member has opened a request for two providers", () => {
    expect(brokenPromises(stage)).toEqual([]);
  });

  test("every provider drains at once, because nothing is live", () => {
    expect(exitCodes).toEqual(victims.map(() => 0));
  });

  test("only the members are left", () => {
    const members = [...stage.members.values()].map(({ pid }) => pid);
    const left = processesIn(stage.sandbox.root).filter(({ pid }) => !members.includes(pid));
    expect(left).toEqual([]);
  });
});
