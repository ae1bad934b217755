/** Reaching the committee: a person is told early who is silent, and does not wait for ever; a service does. */
import { afterEach, describe, expect, test } from "bun:test";
import {
  JOIN_CATCH_UP_MS,
  JOIN_MS,
  JOIN_NOTICE_MS,
  MINUTE_MS,
  SECOND_MS,
} from "../../src/base/limits.ts";
import { silentLogger } from "../../src/base/log.ts";
import { nameMembers } from "../../src/coalition/reach.ts";
import { joinAsRequester, type Requester } from "../../src/requester.ts";
import { type Committee, startCommittee } from "../support/committee.ts";

const ALL = [1, 2, 3];
let committee: Committee | undefined;
afterEach(() => committee?.close());

async function joining(
  options: { readonly absent?: readonly number[]; readonly waits?: true } = {},
) {
  const { absent = [], waits } = options;
  committee = await startCommittee({ absent });
  const { coalition, clock, network } = committee;
  const told: string[] = [];
  const stop = new AbortController();
  let ended: Requester | { readonly failed: unknown } | undefined;
  const joined = joinAsRequester(
    {
      coalition,
      clock,
      log: silentLogger,
      join: network.join,
      ...(waits ? {} : { onSilent: (silent) => told.push(nameMembers(silent)) }),
    },
    stop.signal,
  ).then(
    async (requester) => {
      ended = requester;
      await requester.leave();
    },
    (failed: unknown) => {
      ended = { failed };
    },
  );
  return { committee, coalition, clock, network, told, stop, joined, ended: () => ended };
}

describe("somebody who waits", () => {
  test("is told nothing while enough members answer", async () => {
    const { clock, told, joined, ended } = await joining({ absent: [2] });
    await clock.run(joined, JOIN_NOTICE_MS);
    expect([told, ended()]).toEqual([[], expect.objectContaining({ records: expect.anything() })]);
  });

  test("is told once who is silent, and gives up with their names after the bound", async () => {
    const { coalition, clock, told, ended } = await joining({ absent: ALL });
    await clock.advance(JOIN_NOTICE_MS - 1);
    expect(told).toEqual([]);
    await clock.advance(2 * SECOND_MS);
    expect(told).toEqual([nameMembers(coalition.members)]);
    await clock.advance(JOIN_MS - JOIN_NOTICE_MS - 3 * SECOND_MS);
    expect(ended()).toBeUndefined();
    await clock.advance(3 * SECOND_MS);
    expect(told).toHaveLength(1);
    expect(ended()).toEqual({
      failed: expect.objectContaining({
        code: "unreachable",
        message: expect.stringContaining(nameMembers(coalition.members)),
        fix: expect.stringContaining("addresses"),
      }),
    });
    expect(clock.pending).toBe(0);
  });

  test("gives up with one member of the two it needs", async () => {
    const { coalition, clock, told, joined, ended } = await joining({ absent: [1, 3] });
    await clock.run(joined, JOIN_MS + 2 * SECOND_MS);
    const silent = coalition.members.filter(({ index }) => index !== 2);
    expect(told).toEqual([nameMembers(silent)]);
    expect(ended()).toMatchObject({ failed: { code: "unreachable" } });
  });

  test("joins when the members come in time", async () => {
    const { committee, clock, told, joined, ended } = await joining({ absent: [1, 3] });
    await clock.advance(JOIN_MS - 5 * SECOND_MS);
    await committee.start(3);
    await clock.run(joined, MINUTE_MS);
    expect(told).toHaveLength(1);
    expect(ended()).toHaveProperty("records");
  });

  test("goes on while members in reach are slow to hand over, but not without end", async () => {
    const { clock, network, told, ended } = await joining();
    network.rule = ({ channel, protocol }) =>
      channel === "answer" && protocol.includes("/sync/") ? "lose" : undefined;
    await clock.advance(2 * JOIN_MS);
    expect([told, ended()]).toEqual([[], undefined]);
    await clock.advance(JOIN_CATCH_UP_MS);
    expect(ended()).toMatchObject({ failed: { code: "timeout" } });
  });

  test("ends at once when the person stops it", async () => {
    const { clock, stop, joined, ended } = await joining({ absent: ALL });
    await clock.advance(SECOND_MS);
    stop.abort(new Error("enough"));
    await clock.run(joined, 1);
    expect(ended()).toEqual({ failed: new Error("enough") });
    expect(clock.pending).toBe(0);
  });
});

test("without anybody to tell, it waits for as long as the members take", async () => {
  const { committee, clock, joined, ended } = await joining({ absent: ALL, waits: true });
  await clock.advance(2 * JOIN_CATCH_UP_MS);
  expect(ended()).toBeUndefined();
  await committee.start(1);
  await committee.start(2);
  await clock.run(joined, MINUTE_MS);
  expect(ended()).toHaveProperty("records");
});
