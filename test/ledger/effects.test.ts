/** What each state asks for, and that a state read back from the journal asks for the same. */
import { describe, expect, test } from "bun:test";
import { decodeCanonical, encodeCanonical } from "../../src/base/canonical.ts";
import { PLACEMENTS_MAX, STATE_BYTES_MAX } from "../../src/base/limits.ts";
import { EFFECT_KINDS, effectsOf } from "../../src/ledger/effects.ts";
import { type GrantState, isSettled } from "../../src/ledger/state.ts";
import { transition } from "../../src/ledger/transition.ts";
import {
  EVERY_EVENT,
  EVERY_STATE,
  granted,
  measured,
  NOON_MS,
  opened,
  routed,
  sampleContext,
  samplePlacement,
  stateNamed,
  up,
  walk,
} from "./samples.ts";

/** By the names of PATHS; the number is the try or the log entry. */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  received: ["open/0"],
  "received, recovering": ["open/0"],
  resolved: ["route/0"],
  "resolved, recovering": ["inspect/0"],
  provisioning: ["create/0"],
  "provisioning, second try": ["create/1"],
  running: ["deliver/0", "watch/0"],
  delivered: ["watch/0", "repost/0"],
  "delivered, acknowledged": ["watch/0"],
  "delivered, adopted": ["watch/0", "repost/0"],
  "terminating, then the next try": ["terminate/0"],
  "terminating, then a refusal": ["terminate/0"],
  "terminating, then a log": ["terminate/0"],
  "terminating, then closed": ["terminate/0"],
  logged: ["log/0"],
  closed: [],
  refused: ["refuse/0"],
  "refused, with an empty log": ["refuse/0", "log/0"],
  "refused, announced": [],
  failed: ["refuse/0"],
};

const asked = (state: GrantState): string[] =>
  effectsOf(state).map((effect) => effect.id.slice(state.key.length + 1));

describe("every state asks for", () => {
  for (const [name, state] of EVERY_STATE) {
    test(`${name}: ${ASKED[name]?.join(", ") || "nothing"}`, () => {
      expect(asked(state)).toEqual([...(ASKED[name] ?? ["missing from the table"])]);
      for (const effect of effectsOf(state)) {
        expect(effect.key).toBe(state.key);
        expect(EFFECT_KINDS).toContain(effect.kind);
      }
    });
  }

  test("exactly the settled ones ask for nothing", () => {
    for (const [, state] of EVERY_STATE) {
      expect(effectsOf(state).length === 0).toBe(isSettled(state));
    }
  });

  test("every kind of effect is asked for by some state", () => {
    const kinds = new Set(
      EVERY_STATE.flatMap(([, state]) => effectsOf(state)).map((one) => one.kind),
    );
    expect([...kinds].sort()).toEqual([...EFFECT_KINDS].sort());
  });

  test("a log entry is asked for beside whatever else is under way, the oldest first", () => {
    for (const name of ["running", "delivered", "terminating, then a log"]) {
      const state = stateNamed(name);
      const waiting = transition(
        stateNamed("delivered"),
        { type: "sampled", usage: measured(1) },
        sampleContext({ nowMs: NOON_MS + 200_000 }),
      );
      expect(asked({ ...state, chain: waiting.chain }).at(-1)).toBe("log/0");
    }
  });

  test("the next try and the next log entry are effects of their own", () => {
    const again = transition(
      stateNamed("terminating, then the next try"),
      { type: "gone" },
      sampleContext(),
    );
    expect(asked(again)).toEqual(["create/1"]);
  });
});

describe("the journal's form of a state", () => {
  const reread = (state: GrantState): unknown =>
    decodeCanonical(encodeCanonical(state), STATE_BYTES_MAX);

  for (const [name, state] of EVERY_STATE) {
    test(`${name} is read back as it was written`, () => {
      expect(reread(state)).toEqual(state as never);
    });
  }

  test("so is what any event makes of any state", () => {
    for (const [, state] of EVERY_STATE) {
      for (const event of EVERY_EVENT) {
        const after = transition(state, event, sampleContext());
        expect(reread(after)).toEqual(after as never);
      }
    }
  });

  test("the largest state we can get into has room to spare", () => {
    const long = "x".repeat(64);
    const placements = Array.from({ length: PLACEMENTS_MAX }, () => ({
      ...samplePlacement(),
      backend: long,
      region: long,
      zone: long,
    }));
    let state = walk([granted(), opened, routed(...placements), up(), { type: "posted" }]);
    for (let n = 1; n < 20; n += 1) {
      const context = sampleContext({ nowMs: NOON_MS + n * 200_000 });
      state = transition(state, { type: "sampled", usage: measured(2 ** 45) }, context);
    }
    expect(encodeCanonical(state).length).toBeLessThan(STATE_BYTES_MAX / 2);
  });
});
