/** Before this instance knows what the coalition holds, no grant of its journal is spent on. */
import { expect, test } from "bun:test";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import { BoundedQueue } from "../../src/base/queue.ts";
import type { EffectKind } from "../../src/ledger/effects.ts";
import type { GrantState } from "../../src/ledger/state.ts";
import { startWorkers } from "../../src/ledger/workers.ts";
import { EVERY_STATE, stateNamed } from "./samples.ts";

/** Workers on these states, and what they have started so far. */
function started(states: readonly GrantState[], maySpend: Promise<void>) {
  const kinds = new Set<EffectKind>();
  const byKey = new Map(states.map((state, n) => [`grant ${n}`, { ...state, key: `grant ${n}` }]));
  const workers = startWorkers({
    queue: new BoundedQueue(256),
    clock: systemClock,
    log: silentLogger,
    stateOf: (key) => byKey.get(key),
    maySpend,
    async handle(effect, _state, _emit, signal) {
      kinds.add(effect.kind);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      return undefined;
    },
  });
  for (const state of byKey.values()) workers.want(state);
  return { kinds, workers };
}

test("envelopes stay closed and machines unasked for; what runs is watched, ended and answered", async () => {
  const gate = Promise.withResolvers<void>();
  const { kinds, workers } = started(
    EVERY_STATE.map(([, state]) => state),
    gate.promise,
  );
  await Bun.sleep(5);
  expect([...kinds].sort()).toEqual([
    "deliver",
    "inspect",
    "log",
    "refuse",
    "repost",
    "terminate",
    "watch",
  ]);
  gate.resolve();
  await Bun.sleep(5);
  expect(["open", "route", "create"].filter((kind) => !kinds.has(kind as EffectKind))).toEqual([]);
  await workers.stop();
});

test("after stop the gate opens for nobody", async () => {
  const gate = Promise.withResolvers<void>();
  const { kinds, workers } = started([stateNamed("provisioning")], gate.promise);
  await workers.stop();
  gate.resolve();
  await Bun.sleep(5);
  expect([...kinds]).toEqual([]);
});
