/** Every legal edge of a grant's life, and that everything else leaves it alone. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MINUTE_MS } from "../../src/base/limits.ts";
import type { GrantEvent } from "../../src/ledger/events.ts";
import { type GrantState, isSettled } from "../../src/ledger/state.ts";
import { type TransitionContext, transition } from "../../src/ledger/transition.ts";
import {
  anyEvent,
  createFailed,
  EVERY_EVENT,
  EVERY_STATE,
  granted,
  id,
  inspected,
  measured,
  NOON_MS,
  opened,
  rejected,
  routed,
  sampleContext,
  sampleGrant,
  sampleMachine,
  samplePlacement,
  stateNamed,
  up,
  walk,
} from "./samples.ts";

/** `state` or `state:detail` of what follows. */
function tell(state: GrantState): string {
  switch (state.state) {
    case "refused":
    case "failed":
      return `${state.state}:${state.code}${state.announced ? ":announced" : ""}`;
    case "provisioning":
      return `provisioning:${state.try}`;
    case "terminating": {
      const { ending } = state;
      if (ending.next === "refuse") return `terminating:refuse:${ending.code}`;
      return `terminating:${ending.next}${ending.next === "log" ? `:${ending.status}` : ""}`;
    }
    case "received":
    case "resolved":
      return state.recovering === true ? `${state.state}:recovering` : state.state;
    default:
      return state.state;
  }
}

const usage = measured(9);
const one = samplePlacement();
const machine = { machines: [sampleMachine()], placement: one };
const late: Partial<TransitionContext> = { nowMs: NOON_MS + 11 * MINUTE_MS };
const soon: Partial<TransitionContext> = { nowMs: NOON_MS + MINUTE_MS };

type Edge = readonly [
  from: string,
  event: GrantEvent,
  to: string,
  changes?: Partial<TransitionContext>,
];

/** Every pair of state and event that leads anywhere; what is not here must change nothing. */
const EDGES: readonly Edge[] = [
  ["received", opened, "resolved"],
  ["received", rejected("unavailable"), "refused:unavailable"],
  ["received", rejected("image-mismatch", true), "refused:image-mismatch"],
  ["received", { type: "deadline" }, "refused:expired"],
  ["received", { type: "end", detail: "" }, "refused:draining"],
  ["received, recovering", opened, "resolved:recovering"],
  ["received, recovering", rejected("unavailable"), "refused:unavailable"],
  ["received, recovering", rejected("image-mismatch", true), "refused:image-mismatch"],
  ["resolved", routed(one), "provisioning:0"],
  ["resolved", routed(), "refused:capacity"],
  ["resolved", { type: "deadline" }, "refused:expired"],
  ["resolved", { type: "end", detail: "" }, "refused:draining"],
  ["resolved, recovering", inspected(), "terminating:refuse:unavailable"],
  ["resolved, recovering", inspected(), "terminating:refuse:expired", late],
  ["resolved, recovering", inspected({ receiptPosted: true }), "terminating:log:failed"],
  ["resolved, recovering", inspected({ receiptPosted: true }), "terminating:log:expired", late],
  ["resolved, recovering", inspected({ ...machine, receiptPosted: true }), "delivered"],
  [
    "resolved, recovering",
    inspected({ ...machine, receiptPosted: true }),
    "terminating:log:expired",
    late,
  ],
  ["resolved, recovering", inspected(machine), "terminating:refuse:unavailable"],
  [
    "resolved, recovering",
    inspected({ machines: [sampleMachine(0), sampleMachine(1)], receiptPosted: true }),
    "terminating:log:failed",
  ],
  [
    "resolved, recovering",
    inspected({ ...machine, others: [{ backend: "b", name: "n" }], receiptPosted: true }),
    "terminating:log:failed",
  ],
  [
    "resolved, recovering",
    inspected({ chain: { nextSeq: 2, head: id(8), closed: true } }),
    "closed",
  ],
  [
    "resolved, recovering",
    inspected({ ...machine, chain: { nextSeq: 2, head: id(8), closed: true } }),
    "terminating:close",
  ],
  ["provisioning", up(0), "running"],
  ["provisioning", createFailed("capacity", 0), "provisioning:1"],
  ["provisioning", createFailed("quota", 0), "provisioning:1"],
  ["provisioning", createFailed("unknown-outcome", 0), "terminating:next-try"],
  ["provisioning", createFailed("bad-image", 0), "terminating:refuse:image-unusable"],
  ["provisioning", createFailed("auth", 0), "terminating:refuse:unavailable"],
  ["provisioning", createFailed("bug", 0), "terminating:refuse:unavailable"],
  ["provisioning", createFailed("machine-ended", 0), "terminating:refuse:unavailable"],
  ["provisioning", { type: "deadline" }, "terminating:refuse:expired"],
  ["provisioning", { type: "end", detail: "" }, "terminating:refuse:draining"],
  ["provisioning, second try", up(1), "running"],
  ["provisioning, second try", { type: "deadline" }, "terminating:refuse:expired"],
  ["provisioning, second try", { type: "end", detail: "" }, "terminating:refuse:draining"],
  ["provisioning, second try", createFailed("capacity", 1), "failed:capacity"],
  ["provisioning, second try", createFailed("quota", 1), "failed:quota"],
  ["running", { type: "posted" }, "delivered"],
  ["running", { type: "acked" }, "delivered"],
  ["running", { type: "sampled", usage }, "running"],
  ["running", { type: "exited", cause: "ended", usage }, "terminating:log:completed"],
  ["running", { type: "exited", cause: "lost", usage }, "terminating:log:failed"],
  ["running", { type: "exited", cause: "deadline", usage }, "terminating:log:expired"],
  ["running", { type: "deadline" }, "terminating:log:expired"],
  ["running", { type: "end", detail: "" }, "terminating:log:failed"],
  ["delivered", { type: "acked" }, "delivered"],
  ["delivered", { type: "sampled", usage }, "delivered"],
  ["delivered", { type: "exited", cause: "ended", usage }, "terminating:log:completed"],
  ["delivered", { type: "exited", cause: "lost", usage }, "terminating:log:failed"],
  ["delivered", { type: "exited", cause: "deadline", usage }, "terminating:log:expired"],
  ["delivered", { type: "deadline" }, "terminating:log:expired"],
  ["delivered", { type: "end", detail: "" }, "terminating:log:failed"],
  ["delivered, acknowledged", { type: "sampled", usage }, "delivered"],
  [
    "delivered, acknowledged",
    { type: "exited", cause: "ended", usage },
    "terminating:log:completed",
  ],
  ["delivered, acknowledged", { type: "exited", cause: "lost", usage }, "terminating:log:failed"],
  [
    "delivered, acknowledged",
    { type: "exited", cause: "deadline", usage },
    "terminating:log:expired",
  ],
  ["delivered, acknowledged", { type: "deadline" }, "terminating:log:expired"],
  ["delivered, acknowledged", { type: "end", detail: "" }, "terminating:log:failed"],
  ["terminating, then the next try", { type: "gone" }, "provisioning:1"],
  ["terminating, then the next try", { type: "gone" }, "failed:expired", late],
  ["terminating, then the next try", { type: "end", detail: "" }, "terminating:refuse:draining"],
  ["terminating, then a refusal", { type: "gone" }, "failed:expired"],
  ["terminating, then a log", { type: "gone" }, "logged"],
  ["terminating, then closed", { type: "gone" }, "closed"],
  ["received", { type: "answered" }, "closed"],
  ["received, recovering", { type: "answered" }, "closed"],
  ["resolved", { type: "answered" }, "closed"],
  ["resolved, recovering", { type: "answered" }, "closed"],
  ["provisioning", { type: "answered" }, "terminating:close"],
  ["provisioning, second try", { type: "answered" }, "terminating:close"],
  ["running", { type: "answered" }, "terminating:close"],
  ["delivered", { type: "answered" }, "terminating:close"],
  ["delivered, acknowledged", { type: "answered" }, "terminating:close"],
  ["terminating, then the next try", { type: "answered" }, "terminating:close"],
  ["terminating, then a refusal", { type: "answered" }, "terminating:close"],
  ["terminating, then a log", { type: "answered" }, "terminating:close"],
  ["terminating, then closed", { type: "answered" }, "terminating:close"],
  ["logged", { type: "log-published", seq: 0 }, "closed"],
  ["logged", { type: "log-published", seq: 5 }, "closed"],
  ["refused", { type: "announced" }, "refused:capacity:announced"],
  ["failed", { type: "announced" }, "failed:expired:announced"],
  ["refused, with an empty log", { type: "log-published", seq: 5 }, "refused:image-mismatch"],
  ["refused, with an empty log", { type: "announced" }, "refused:image-mismatch:announced"],
  ["refused, with an empty log", { type: "log-published", seq: 0 }, "refused:image-mismatch"],
];

describe("legal edges", () => {
  for (const [from, event, to, changes = {}] of EDGES) {
    const when = "nowMs" in changes ? " too late" : "";
    const what = "code" in event ? `${event.type} ${event.code}` : event.type;
    test(`${from} + ${what}${when} = ${to}`, () => {
      const before = stateNamed(from);
      const after = transition(before, event, sampleContext(changes));
      expect(tell(after)).toBe(to);
      expect(after).not.toBe(before);
    });
  }
});

/** Names the event as EDGES does: type, and what decides the outcome. */
function nameOf(event: GrantEvent): string {
  const parts: string[] = [event.type];
  for (const key of ["code", "try", "cause", "seq", "invalid"] as const) {
    if (key in event) parts.push(String((event as Record<string, unknown>)[key]));
  }
  if (event.type === "routed") parts.push(event.placements.length > 0 ? "somewhere" : "nowhere");
  if (event.type === "inspected") parts.length = 1; // its outcomes have tests of their own above
  return parts.join(" ");
}

test("every other event leaves every state as it is", () => {
  const legal = new Set(EDGES.map(([from, event]) => `${from} + ${nameOf(event)}`));
  let checked = 0;
  for (const [name, state] of EVERY_STATE) {
    // Adopted or delivered is one and the same from here on.
    const as = name === "delivered, adopted" ? "delivered" : name;
    for (const event of EVERY_EVENT) {
      if (legal.has(`${as} + ${nameOf(event)}`)) continue;
      const after = transition(state, event, sampleContext());
      if (after !== state) throw new Error(`${name} + ${nameOf(event)} = ${tell(after)}`);
      checked += 1;
    }
  }
  expect(checked).toBeGreaterThan(400);
});

test("a report about another try changes nothing", () => {
  for (const event of [up(1), createFailed("capacity", 1), createFailed("auth", 7)]) {
    const state = stateNamed("provisioning");
    expect(transition(state, event, sampleContext())).toBe(state);
  }
});

describe("nothing is lost on the way", () => {
  const common = [
    "v",
    "key",
    "grantId",
    "grant",
    "record",
    "seenMs",
    "deadlineMs",
    "spend",
    "chain",
  ];
  const needs: Readonly<Record<GrantState["state"], readonly string[]>> = {
    received: ["recovering"],
    resolved: ["resolution"],
    provisioning: ["resolution", "placements", "try"],
    running: ["resolution", "placements", "try", "machine", "upMs", "usage", "acked"],
    delivered: ["resolution", "placements", "try", "machine", "upMs", "usage", "acked"],
    terminating: ["resolution", "placements", "try", "ending", "usage", "upMs", "found"],
    logged: [],
    closed: [],
    refused: ["code", "detail", "announced"],
    failed: ["code", "detail", "announced"],
  };

  test("every reachable state has what its effects and successors read, under any events", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(anyEvent, { maxLength: 14 }), (recovered, events) => {
        let state = walk([granted(sampleGrant(), recovered)]);
        for (const event of events) {
          const before = state;
          state = transition(state, event, sampleContext(soon));
          for (const key of [...common, ...needs[state.state]]) expect(state).toHaveProperty(key);
          expect(state.key).toBe(before.key);
          expect(state.grant).toEqual(before.grant);
          expect(state.deadlineMs).toBe(before.deadlineMs);
          expect(state.chain.nextSeq).toBeGreaterThanOrEqual(
            event.type === "inspected" ? 0 : before.chain.nextSeq,
          );
        }
      }),
      { numRuns: 1500 },
    );
  });

  test("once something was asked of a backend, only a proof that it is gone leads out", () => {
    const asked = new Set(["provisioning", "running", "delivered", "terminating"]);
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 14 }), (events) => {
        let state = stateNamed("provisioning");
        for (const event of events) {
          const before = state;
          state = transition(state, event, sampleContext(soon));
          if (!asked.has(before.state) || asked.has(state.state)) continue;
          const definiteNo =
            event.type === "create-failed" && ["capacity", "quota"].includes(event.code);
          expect(event.type === "gone" || definiteNo).toBe(true);
        }
      }),
      { numRuns: 1500 },
    );
  });

  test("a refusal that is out forgets the envelope, one that is not keeps its answer address", () => {
    expect(stateNamed("refused")).toHaveProperty("resolution");
    expect(stateNamed("refused, announced")).not.toHaveProperty("resolution");
    expect(stateNamed("logged")).not.toHaveProperty("resolution");
  });

  test("a settled state is settled for good", () => {
    const settled = EVERY_STATE.filter(([, state]) => isSettled(state));
    expect(settled.map(([name]) => name).sort()).toEqual(["closed", "refused, announced"]);
    for (const [, state] of settled) {
      for (const event of EVERY_EVENT) {
        expect(isSettled(transition(state, event, sampleContext()))).toBe(true);
      }
    }
  });

  test("a refusal with an empty log is settled only once both are out", () => {
    const state = stateNamed("refused, with an empty log");
    const announced = transition(state, { type: "announced" }, sampleContext());
    const logged = transition(state, { type: "log-published", seq: 0 }, sampleContext());
    expect([state, announced, logged].map(isSettled)).toEqual([false, false, false]);
    expect(isSettled(transition(logged, { type: "announced" }, sampleContext()))).toBe(true);
    expect(
      isSettled(transition(announced, { type: "log-published", seq: 0 }, sampleContext())),
    ).toBe(true);
  });
});

describe("the reason of a refusal", () => {
  test("a page of error text and broken text are cut to what a reply can carry", () => {
    const page = `${"x".repeat(239)}\ud83d\ude00${"y".repeat(200_000)}`;
    const after = transition(
      stateNamed("provisioning, second try"),
      createFailed("capacity", 1, page),
      sampleContext(),
    );
    const detail = "detail" in after ? after.detail : "";
    expect(detail.length).toBe(240);
    expect(detail.isWellFormed()).toBe(true);
    const ending = transition(
      stateNamed("provisioning"),
      createFailed("unknown-outcome", 0, page),
      sampleContext(),
    );
    expect(ending).toMatchObject({ ending: { detail } });
  });

  test("an invalid grant gets an empty final log", () => {
    const state = stateNamed("refused, with an empty log");
    expect(state.chain.outbox).toMatchObject([
      { seq: 0, status: "invalid", usage: { basis: "none", cpuCoreMs: 0 } },
    ]);
  });
});
