/** Whose machine it is that a sweep finds. */
import { expect, test } from "bun:test";
import { toHex } from "../../src/base/bytes.ts";
import type { ListedMachine } from "../../src/fleet/backend.ts";
import type { Ledger } from "../../src/ledger/ledger.ts";
import type { GrantState } from "../../src/ledger/state.ts";
import type { StageContext } from "../../src/stages/context.ts";
import { claimOf } from "../../src/stages/sweep.ts";
import { listed } from "../fleet/scripted.ts";
import { EVERY_STATE, sampleGrant, sampleMachine, stateNamed } from "../ledger/samples.ts";

const { providerId } = sampleGrant();

/** As the provider with these live grants, connected to `peers` others, claims it. */
function claimed(
  live: readonly GrantState[],
  { name = sampleMachine().name, grant = stateNamed("running").grantId, attempted = 0 } = {},
  { peers = 3, owner = toHex(providerId) } = {},
): "claimed" | "unknown" {
  const context = {
    providerId,
    replica: { transport: { peers: () => Array.from({ length: peers }, String) } },
  } as unknown as StageContext;
  const ledger = { live: () => live.values() } as unknown as Ledger;
  const tags: ListedMachine["tags"] = {
    providerId: owner,
    grantId: toHex(grant),
    attempt: 1,
    try: attempted,
    deadlineMs: 1,
  };
  return claimOf(context, ledger)(listed(name, { tags }));
}

test("the machine a grant runs on is its own; another one of the same grant is not", () => {
  for (const name of ["running", "delivered", "delivered, adopted"]) {
    expect(claimed([stateNamed(name)])).toBe("claimed");
    expect(claimed([stateNamed(name)], { name: "of an earlier try, shown late" })).toBe("unknown");
  }
});

test("while a machine is asked for, the one of this try is claimed, and none of an earlier try", () => {
  const second = [stateNamed("provisioning, second try")];
  expect(claimed(second, { name: "any", attempted: 1 })).toBe("claimed");
  expect(claimed(second, { name: "any", attempted: 0 })).toBe("unknown");
});

test("what the grant's own stages look for and end is theirs", () => {
  for (const name of ["received, recovering", "resolved, recovering", "terminating, then a log"])
    expect(claimed([stateNamed(name)], { name: "any", attempted: 7 })).toBe("claimed");
});

test("once the grant is over, or for a grant nobody knows, it is an orphan", () => {
  for (const name of ["logged", "closed", "refused", "failed"])
    expect(claimed([stateNamed(name)])).toBe("unknown");
  const everyone = EVERY_STATE.map(([, state]) => state);
  expect(claimed(everyone, { grant: new Uint8Array(32).fill(9) as never })).toBe("unknown");
});

test("nothing is an orphan while the coalition cannot be heard, nor what another provider has", () => {
  expect(claimed([], {}, { peers: 0 })).toBe("claimed");
  expect(claimed([], {}, { owner: "another provider in the same account" })).toBe("claimed");
});
