/** A machine is not asked after while the call that may still make it is under way, even when that call was aborted. */
import { expect, test } from "bun:test";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import { BoundedQueue } from "../../src/base/queue.ts";
import type { EffectKind } from "../../src/ledger/effects.ts";
import type { GrantEvent } from "../../src/ledger/events.ts";
import type { GrantState } from "../../src/ledger/state.ts";
import { transition } from "../../src/ledger/transition.ts";
import { startWorkers } from "../../src/ledger/workers.ts";
import { sampleContext, stateNamed } from "./samples.ts";

test("terminate waits for an aborted create to come back", async () => {
  const provisioning = stateNamed("provisioning");
  const terminating = transition(provisioning, { type: "deadline" }, sampleContext());
  expect(terminating.state).toBe("terminating");
  let current: GrantState = provisioning;
  const started: EffectKind[] = [];
  let createAborted = false;
  let finishCreate = (): void => {};
  const queue = new BoundedQueue<{ key: string; event: GrantEvent }>(16);
  const workers = startWorkers({
    queue,
    clock: systemClock,
    log: silentLogger,
    stateOf: () => current,
    maySpend: Promise.resolve(),
    async handle(effect, _state, _emit, signal) {
      started.push(effect.kind);
      if (effect.kind !== "create") return { type: "gone" };
      signal.addEventListener("abort", () => {
        createAborted = true;
      });
      await new Promise<void>((resolve) => {
        finishCreate = resolve; // a cloud that answers late, whatever we wish
      });
      return undefined;
    },
  });
  workers.want(provisioning);
  await Bun.sleep(0);
  current = terminating;
  workers.want(terminating);
  await Bun.sleep(20);
  expect(createAborted).toBe(true);
  expect(started).toEqual(["create"]);
  finishCreate();
  expect(await queue.take(1)).toEqual([{ key: terminating.key, event: { type: "gone" } }]);
  expect(started).toEqual(["create", "terminate"]);
  await workers.stop();
});
