/** The members hold 5,000 records; a process that comes late has, checked and stored all of them how soon? */
import type { JoinerCalls, LateJoin } from "./joiner-worker.ts";
import { atMost, type Findings, type Measure } from "./measure.ts";
import { countOf, type Mix, makeRecords } from "./records.ts";
import { median, rounded } from "./statistics.ts";
import { inWorld, type World } from "./world.ts";

/** As 400 grants leave them that have run for a quarter of an hour, with a log entry every two minutes. */
const MIX: Mix = { cards: 200, grants: 400, logsPerGrant: 9 };
const RECORDS = countOf(MIX);
const TIMES = 5;
const WITHIN_MS = 5000;

export const convergence: Measure = {
  name: "convergence",
  title: `${RECORDS} records converge on a late joiner`,
  run: (say) => inWorld((world) => measure(world, say)),
};

async function measure(world: World, say: (line: string) => void): Promise<Findings> {
  const [first] = world.members;
  if (first === undefined) throw new Error("the coalition has members");
  say(`making ${RECORDS} records`);
  const records = await makeRecords(world.ceremony, await first.call("standingTick"), MIX);
  const bytes = records.reduce((sum, record) => sum + record.length, 0);
  // Members that learnt them from each other would hold the same; this spares the wait.
  for (const member of world.members) await member.call("take", { records });
  const joins: LateJoin[] = [];
  for (let i = 0; i < TIMES; i += 1) {
    const joiner = world.worker<JoinerCalls>("joiner-worker.ts");
    const join = await joiner.call("join", { coalitionFile: world.coalitionFile });
    await joiner.end();
    joins.push(join);
    say(`${join.records} records in ${Math.round(join.elapsedMs)} ms`);
  }
  const elapsed = joins.map(({ elapsedMs }) => elapsedMs);
  const medianMs = median(elapsed);
  return {
    figures: {
      ...{ records: RECORDS, mib: rounded(bytes / 2 ** 20), joins: TIMES },
      medianMs: rounded(medianMs, 0),
      maxMs: rounded(Math.max(...elapsed), 0),
      recordsPerSecond: rounded((1000 * RECORDS) / medianMs, 0),
      cpuMsPerRecord: rounded(median(joins.map(({ cpuMs }) => cpuMs)) / RECORDS, 3),
    },
    targets: [atMost("maxMs", Math.max(...elapsed), WITHIN_MS)],
    broken: joins
      .filter((join) => join.records !== RECORDS || join.refused > 0)
      .map((join) => `a joiner held ${join.records} of ${RECORDS}, refused ${join.refused}`),
  };
}
