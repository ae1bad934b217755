/**
 * SIGKILL wherever it can hurt: the provider in every state of a grant's life, members in the middle of a signature,
 * machines, and at moments taken from the seed. After every restart: at most one machine per grant at any time, exactly
 * one final log or refusal, and nothing left, neither a machine nor a process.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { REGION_CLASSES } from "../../src/coalition/classes.ts";
import { GRANT_STATES } from "../../src/ledger/state.ts";
import { type MachineWatch, watchMachines } from "./kill-machines.ts";
import { type Finding, table } from "./kill-report.ts";
import { openStage, type Stage } from "./kill-stage.ts";
import { type StateRow, stateRow } from "./kill-state-row.ts";
import { makeVictim } from "./kill-victim.ts";

const T0 = performance.now();
const SEED = Number(process.env.BRIDGE_SEED ?? 1);

const stateRows = (
  journal: StateRow["journal"],
  states: readonly StateRow["state"][],
): StateRow[] => states.map((state) => ({ name: `${state}, journal ${journal}`, state, journal }));

/** Rows of one lane follow each other on one provider; lanes run side by side, each in a region of its own. */
const LANES: readonly (readonly StateRow[])[] = [
  stateRows("kept", GRANT_STATES),
  stateRows("deleted", ["running", "delivered", "terminating", "closed"]),
  stateRows("deleted", ["provisioning"]),
  stateRows("deleted", ["resolved"]),
  stateRows("deleted", ["received", "logged"]),
  stateRows("deleted", ["refused", "failed"]),
];

const found = new Map<string, readonly Finding[]>();
let stage: Stage;
let watch: MachineWatch;

beforeAll(async () => {
  stage = await openStage();
  watch = watchMachines();
  await Promise.all(LANES.map((rows, at) => runLane(rows, at)));
  const all = LANES.flat().flatMap(({ name }) => found.get(name) ?? []);
  console.log(`seed ${SEED}\n${table(all)}`);
});

afterAll(async () => {
  await watch?.stop();
  await stage?.close();
});

async function runLane(rows: readonly StateRow[], at: number): Promise<void> {
  const regionClass = REGION_CLASSES[at + 1] ?? "any";
  const victim = makeVictim({
    ...{ root: stage.sandbox.root, name: `provider-${at + 1}`, regionClass },
    ...{ program: stage.program, coalitionFile: stage.coalition.file },
  });
  watch.watch(victim);
  await victim.start();
  for (const row of rows) {
    found.set(row.name, await stateRow({ stage, watch, victim, regionClass }, row));
    console.log(((performance.now() - T0) / 1000).toFixed(1), row.name);
  }
}

describe("a provider killed", () => {
  for (const { name } of LANES.flat()) {
    test(name, () => {
      const findings = found.get(name) ?? [];
      expect(findings.flatMap(({ problems }) => problems)).toEqual([]);
      expect(findings.length).toBeGreaterThan(0);
    });
  }
});
