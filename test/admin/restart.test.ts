/** Counters are the journal's: a provider that starts again over the same file shows what it showed before. */
import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { snapshotCodec } from "../../src/admin/schemas.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import { backendOf } from "../fleet/scripted.ts";
import { SMOOTH } from "../ledger/rig.ts";
import { routed, samplePlacement } from "../ledger/samples.ts";
import { eventually } from "../support/eventually.ts";
import { type Family, readExposition } from "./exposition.ts";
import { type AdminRig, endGrant, offerGrant, startAdminRig, tempJournalPath } from "./rig.ts";

/** Families that tell of the grants' past, as opposed to this process and this moment. */
const KEPT =
  /_(grants(_seen|_admitted|_recovered|_refused)?|receipts|machines_started|usage_.*|spent_micros)_total$/;

function keptIn(families: ReadonlyMap<string, Family>): Record<string, number> {
  const kept = [...families].filter(([name]) => KEPT.test(name));
  return Object.fromEntries(
    kept.flatMap(([, { series }]) =>
      series.map(({ name, labels, value }) => [`${name}${JSON.stringify(labels)}`, value]),
    ),
  );
}

const read = async (rig: AdminRig) => ({
  snapshot: snapshotCodec.check(await (await rig.get("/api/v1/snapshot")).json()),
  counters: keptIn(readExposition(await (await rig.get("/metrics")).text())),
});

test("a restart loses no counter", async () => {
  const path = tempJournalPath();
  const start = (): AdminRig =>
    startAdminRig({
      journal: openJournal(path, "provider-a"),
      backends: [backendOf("backend-0"), backendOf("backend-1")],
      script: { ...SMOOTH, route: async () => routed(samplePlacement(1)) },
    });
  const first = start();
  for (const n of [1, 2, 3, 4]) {
    const key = offerGrant(first, n);
    await eventually("delivered", () => first.ledger.get(key)?.state === "delivered");
    if (n === 4) break; // this one is still running when the provider ends
    const netBytes = n === 3 ? null : 100;
    endGrant(first, key, { cpuCoreMs: 1500 * n, ramMibSeconds: n, netBytes, basis: "measured" });
    await eventually("settled", () => first.ledger.books().active === 0);
  }
  first.standing.drain({ reason: "stop", terminate: false });
  offerGrant(first, 5);
  await eventually("refused", () => first.ledger.totals().get("refusals:draining") === 1);
  const before = await read(first);
  await first.close();

  const second = start();
  const after = await read(second);
  await second.close();
  rmSync(dirname(path), { recursive: true });
  expect(after.counters).toEqual(before.counters);
  expect(Object.keys(after.counters).length).toBeGreaterThan(20);
  expect(after.snapshot.grants.lifetime).toEqual(before.snapshot.grants.lifetime);
  expect(after.snapshot.usage).toEqual(before.snapshot.usage);
  expect(after.snapshot.money).toEqual(before.snapshot.money);
  expect(after.snapshot.usage).toMatchObject({
    cpuCoreSeconds: 9,
    ramMibSeconds: 6,
    netBytes: 200,
    netUnknownGrants: 1,
  });
  expect(after.snapshot.grants).toMatchObject({
    active: 1,
    lifetime: { seen: 5, admitted: 4, outcomes: { completed: 3, refused: 1 } },
  });
  expect(after.snapshot.provider.standing).toBe("draining");
});
