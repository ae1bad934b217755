/** A backend's samples become events, its exit the last one; nothing it says becomes zero usage. */
import { describe, expect, test } from "bun:test";
import { MINUTE_MS } from "../../src/base/limits.ts";
import type { Backend, MachineExit, Usage } from "../../src/fleet/backend.ts";
import type { GrantEvent } from "../../src/ledger/events.ts";
import type { Running } from "../../src/ledger/state.ts";
import { watchMachine } from "../../src/watch/watcher.ts";
import { measured, NOON_MS, sampleMachine, stateNamed } from "../ledger/samples.ts";

const state = stateNamed("delivered") as Running;
const unknown: Usage = { cpuCoreMs: 0, ramMibSeconds: 0, netBytes: null, basis: "unknown" };
const SHAPE = { cpuMillicores: 2000, ramMib: 2048 }; // of the sample placement

interface Watched {
  readonly events: GrantEvent[];
  readonly last: GrantEvent | undefined;
}

async function watch(
  samples: readonly Usage[],
  exit: MachineExit,
  of: Running = state,
  signal = new AbortController().signal,
): Promise<Watched> {
  const events: GrantEvent[] = [];
  const backend: Pick<Backend, "watchUntilExit"> = {
    async watchUntilExit(machine, onSample) {
      expect(machine).toEqual(sampleMachine());
      for (const sample of samples) onSample(sample);
      return exit;
    },
  };
  const nowMs = () => NOON_MS + MINUTE_MS;
  const emit = (event: GrantEvent): void => void events.push(event);
  const last = await watchMachine(backend as Backend, of, nowMs, emit, signal);
  return { events, last };
}

describe("watching", () => {
  test("hands samples on as they come, never less than before", async () => {
    const samples = [measured(10), measured(4), unknown, measured(20)] as Usage[];
    const { events } = await watch(samples, { cause: "ended", usage: measured(21) as Usage });
    expect(events.map((event) => "usage" in event && event.usage)).toEqual([
      measured(10),
      measured(10),
      measured(10),
      measured(20),
    ]);
  });

  test("reports the exit with the most it has seen", async () => {
    for (const cause of ["ended", "deadline", "lost"] as const) {
      const { last } = await watch([measured(30) as Usage], { cause, usage: unknown });
      expect(last).toEqual({ type: "exited", cause, usage: measured(30) });
    }
  });

  test("goes on from the usage in the journal after a restart", async () => {
    const before: Running = { ...state, usage: measured(500) };
    const { last } = await watch(
      [measured(3) as Usage],
      { cause: "ended", usage: measured(4) as Usage },
      before,
    );
    expect(last).toMatchObject({ usage: measured(500) });
  });

  test("counts what was allocated when an ended machine was never measured", async () => {
    const { last } = await watch([], { cause: "ended", usage: unknown });
    expect(last).toMatchObject({
      usage: {
        cpuCoreMs: SHAPE.cpuMillicores * 60,
        ramMibSeconds: SHAPE.ramMib * 60,
        netBytes: null,
        basis: "allocated",
      },
    });
  });

  test("a lost machine that was never measured stays unknown", async () => {
    const { last } = await watch([], { cause: "lost", usage: unknown });
    expect(last).toMatchObject({ cause: "lost", usage: { basis: "unknown" } });
  });

  test("says nothing about a machine it was told to stop watching", async () => {
    const { last } = await watch([], { cause: "lost", usage: unknown }, state, AbortSignal.abort());
    expect(last).toBeUndefined();
  });

  test("lets a failure through, to be tried again: an error is no exit", async () => {
    const backend: Pick<Backend, "watchUntilExit"> = {
      watchUntilExit: () => Promise.reject(new Error("the API does not answer")),
    };
    const watched = watchMachine(
      backend as Backend,
      state,
      Date.now,
      () => {},
      new AbortController().signal,
    );
    await expect(watched).rejects.toThrow("does not answer");
  });
});
