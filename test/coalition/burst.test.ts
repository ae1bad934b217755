/** More requests at once than there are places: what a proposer is having signed counts as taken, too. */
import { afterEach, expect, test } from "bun:test";
import { proposerOf } from "../../src/coalition/clearing.ts";
import { type Committee, startCommittee } from "../support/committee.ts";
import { compose, send, stand } from "./stand.ts";

let committee: Committee | undefined;
afterEach(async () => await committee?.close());

test("twelve requests of one proposer for two places get two grants", async () => {
  committee = await startCommittee({ members: 3, threshold: 2 });
  await committee.clock.advance(3000);
  const { granted } = await stand(committee, "alpha", () => "admit", { free: 2 });
  const of = committee;
  const asked = Array.from({ length: 12 }, () =>
    compose(of, {}, ({ id }) => proposerOf(id, 1, 3) === 1),
  );
  for (const one of asked) send(of, one);
  await of.clock.advance(5000);
  expect(granted.length).toBe(2);
});
