/** A provider that comes back: what it may go on with, what it must not, and what does not wait for anybody. */
import { afterEach, expect, test } from "bun:test";
import { must } from "../../src/base/assert.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/base/limits.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import { attemptKey } from "../../src/coalition/ids.ts";
import { encodeRecord, type SignedRecord } from "../../src/network/record.ts";
import { compose, send } from "../coalition/stand.ts";
import { providerActor } from "../support/actors.ts";
import { type Committee, startCommittee } from "../support/committee.ts";
import { NAME, openShop, type Shop } from "./provider-rig.ts";

let committee: Committee | undefined;
let shop: Shop | undefined;
afterEach(async () => {
  await shop?.close();
  expect(committee?.network.bugs).toEqual([]);
  await committee?.close();
});

/** A committee, a provider, and a grant of a minute that has come as far as `state`. */
async function cameTo(
  state: string,
  { tickMs = SECOND_MS, ...options }: Parameters<typeof openShop>[1] & { tickMs?: number } = {},
) {
  const of = await startCommittee({ tickMs });
  committee = of;
  await of.clock.advance(3 * tickMs);
  const at = openShop(of, options);
  shop = at;
  const provider = await at.start();
  await of.clock.run(provider.ready, 30 * SECOND_MS, "the provider");
  await of.clock.advance(2 * tickMs);
  const asked = compose(of);
  send(of, asked);
  await of.clock.until(() => at.states().includes(state), 30 * SECOND_MS, state);
  const grant = must(of.member(1).records.grants.get(attemptKey(asked.id, 1)), "a grant").body;
  return { of, at, grant };
}

/** What another instance of the provider, on another host, has signed meanwhile. */
function elsewhere(
  of: Committee,
  record: (actor: ReturnType<typeof providerActor>) => SignedRecord,
) {
  const second = providerActor(of.coalition, NAME).instance(Math.floor(of.clock.nowMs() / 1000));
  const bytes = encodeRecord(record(second));
  for (const member of of.running()) member.network.replica.store.offer(bytes);
}

const refusal = (grant: ComputeGrant) => (actor: ReturnType<typeof providerActor>) =>
  actor.sign("refusal", actor.refusal(grant, "unavailable"));
const finalLog = (grant: ComputeGrant) => (actor: ReturnType<typeof providerActor>) =>
  actor.sign("log", actor.log(grant, "completed"));

test("a machine ends at its deadline although nobody of the coalition answers any more", async () => {
  const { of, at } = await cameTo("delivered");
  await at.stop();
  for (const { index } of of.coalition.members) await of.kill(index);
  await at.start();
  await of.clock.advance(SECOND_MS);
  expect([at.states(), at.ended]).toEqual([["delivered"], []]);
  await of.clock.advance(2 * MINUTE_MS);
  expect(at.states()).toEqual(["logged"]);
  expect(at.ended.length).toBe(2); // asked until the backend had said so twice
});

test("it asks for a machine again under the same name, once it knows what the coalition holds", async () => {
  const { of, at } = await cameTo("provisioning", { hangs: true });
  await at.stop();
  for (const { index } of of.coalition.members) await of.kill(index);
  await at.start();
  await of.clock.advance(10 * SECOND_MS);
  expect(at.ordered.length).toBe(1);
  for (const { index } of of.coalition.members) await of.start(index);
  await of.clock.until(() => at.ordered.length === 2, 30 * SECOND_MS, "the second call");
  expect(at.ordered[1]?.name).toBe(must(at.ordered[0], "the first call").name);
});

for (const [what, answer] of [
  ["refused", refusal],
  ["closed", finalLog],
] as const) {
  test(`it asks for no machine that another instance has ${what} meanwhile, and ends what there may be`, async () => {
    const { of, at, grant } = await cameTo("provisioning", { hangs: true });
    await at.stop();
    elsewhere(of, answer(grant));
    await at.start();
    await of.clock.until(() => at.states().length === 0, MINUTE_MS, "the end of the grant");
    expect(at.ordered.length).toBe(1);
    expect(at.ended.length).toBe(2);
  });

  test(`it ends a machine of a grant that another instance has ${what} meanwhile, and adds nothing to the log`, async () => {
    const { of, at, grant } = await cameTo("delivered");
    await at.stop();
    elsewhere(of, answer(grant));
    const logs = of.member(1).records.logs.size;
    await at.start();
    await of.clock.until(() => at.states().length === 0, 30 * SECOND_MS, "the end of the grant");
    expect(at.ended.length).toBe(2);
    await of.clock.advance(15 * SECOND_MS);
    expect(of.member(1).records.logs.size).toBe(logs);
  });
}

test("what it owes on a grant that nobody remembers is dropped with an alarm, and it drains", async () => {
  const { of, at, grant } = await cameTo("delivered", { tickMs: 20 * SECOND_MS });
  await at.stop();
  const { keepTicks } = of.coalition.file.compute;
  const { periodMs } = of.coalition.file.almanac;
  await of.clock.advance((keepTicks + 120) * periodMs);
  expect(of.member(1).records.grants.get(attemptKey(grant.requestId, 1))).toBeUndefined();
  await at.start();
  await of.clock.until(() => at.states().length === 0, MINUTE_MS, "the end of the grant");
  expect(at.ended.length).toBe(2);
});
