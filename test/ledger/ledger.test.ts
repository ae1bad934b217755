/** The one writer: intent before effect, nothing twice, nothing lost, whatever the workers and the disk do. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EFFECT_RETRY_MS, EFFECT_RETRY_MS_MAX, HOUR_MS, MINUTE_MS } from "../../src/base/limits.ts";
import { seededRandom } from "../support/arbitraries.ts";
import { seedMathRandom } from "../support/fake-clock.ts";
import { keyOf, neverReturns, offer, type Script, SMOOTH, startRig } from "./rig.ts";
import { createFailed, measured, sampleCaps } from "./samples.ts";

const ended: Script = {
  ...SMOOTH,
  watch: async () => ({ type: "exited", cause: "ended", usage: measured(5) }),
};

describe("a grant's life", () => {
  test("goes from grant to closed, every state on disk before what it asks for", async () => {
    const rig = startRig({ script: { ...ended, repost: async () => undefined } });
    const key = offer(rig);
    await rig.clock.until(() => rig.journal.get(key)?.state === "closed", MINUTE_MS);
    const states = rig.journal.history(key).map((row) => row.state);
    expect(states[0]).toBe("received");
    expect(states.at(-1)).toBe("closed");
    for (const [kind, state] of [
      ["open", "received"],
      ["route", "resolved"],
      ["create", "provisioning"],
      ["deliver", "running"],
      ["terminate", "terminating"],
      ["log", "logged"],
    ] as const) {
      const started = rig.trace.indexOf(`start ${key}/${kind}/0`);
      const committed = rig.trace.indexOf(`commit ${key} ${state}`);
      expect([kind, committed >= 0 && committed < started]).toEqual([kind, true]);
    }
    expect([...rig.ledger.live()]).toEqual([]);
    expect(rig.ledger.get(key)?.state).toBe("closed");
    await rig.clock.run(rig.ledger.stop(), MINUTE_MS);
  });

  test("listeners hear of a change after it is on disk", async () => {
    const rig = startRig({ script: ended });
    const heard: string[] = [];
    rig.ledger.onChange(({ before, after, event }) => {
      expect(rig.journal.history(after.key).map((row) => row.state)).toContain(after.state);
      heard.push(`${before?.state ?? "nothing"} ${event} ${after.state}`);
    });
    offer(rig);
    await rig.clock.until(() => heard.length >= 3, MINUTE_MS);
    expect(heard.slice(0, 3)).toEqual([
      "nothing granted received",
      "received opened resolved",
      "resolved routed provisioning",
    ]);
  });

  test("a grant is taken once: not again while it lives, not again when it is settled", async () => {
    const rig = startRig({ script: { ...ended, repost: async () => undefined } });
    const key = offer(rig);
    offer(rig);
    await rig.clock.until(() => rig.journal.get(key)?.state === "closed", MINUTE_MS);
    const rows = rig.journal.history(key).length;
    expect(rig.ledger.knows(key)).toBe(true);
    offer(rig);
    await rig.clock.advance(MINUTE_MS);
    expect(rig.journal.history(key).length).toBe(rows);
    expect(rig.ledger.totals().get("grants:seen")).toBe(1);
  });

  test("an event for a grant nobody knows is nothing", async () => {
    const rig = startRig({ script: ended });
    rig.ledger.offer("no such key", { type: "gone" });
    await rig.clock.advance(1000);
    expect(rig.trace).toEqual([]);
  });

  test("a fenced instance begins nothing, not even a refusal", async () => {
    const rig = startRig({ script: ended, context: { standing: "fenced" } });
    offer(rig);
    await rig.clock.advance(MINUTE_MS);
    expect(rig.trace).toEqual([]);
    expect(rig.ledger.totals().size).toBe(0);
  });

  test("grants that come together are admitted one by one under the caps", async () => {
    const rig = startRig({ context: { caps: { ...sampleCaps, grantsMax: 3 } } });
    for (let n = 0; n < 8; n += 1) offer(rig, n);
    await rig.clock.settle();
    const states = Array.from({ length: 8 }, (_, n) => rig.ledger.get(keyOf(n))?.state);
    expect(states.filter((state) => state === "received").length).toBe(3);
    expect(states.filter((state) => state === "refused").length).toBe(5);
    expect(rig.ledger.books().active).toBe(3);
  });
});

describe("effects", () => {
  test("what the state no longer asks for is aborted", async () => {
    const aborted: string[] = [];
    const rig = startRig({
      script: {
        ...SMOOTH,
        terminate: neverReturns,
        create: (_state, _emit, signal, effect) =>
          new Promise((resolve) =>
            signal.addEventListener("abort", () => {
              aborted.push(effect.id);
              resolve(undefined);
            }),
          ),
      },
    });
    const key = offer(rig);
    await rig.clock.until(() => rig.ledger.get(key)?.state === "provisioning", MINUTE_MS);
    rig.ledger.offer(key, { type: "deadline" });
    await rig.clock.settle();
    expect(aborted).toEqual([`${key}/create/0`]);
    expect(rig.trace).toContain(`start ${key}/terminate/0`);
  });

  test("the report of an aborted effect changes nothing any more", async () => {
    const rig = startRig({
      script: {
        ...SMOOTH,
        terminate: neverReturns,
        create: (state, emit, signal, effect) =>
          new Promise((resolve) =>
            signal.addEventListener("abort", () =>
              resolve(SMOOTH.create(state, emit, signal, effect)),
            ),
          ),
      },
    });
    const key = offer(rig);
    await rig.clock.until(() => rig.ledger.get(key)?.state === "provisioning", MINUTE_MS);
    rig.ledger.offer(key, { type: "deadline" });
    await rig.clock.advance(MINUTE_MS);
    expect(rig.ledger.get(key)?.state).toBe("terminating");
  });

  test("watching goes on while running becomes delivered", async () => {
    const rig = startRig({ script: SMOOTH });
    const key = offer(rig);
    await rig.clock.until(() => rig.ledger.get(key)?.state === "delivered", MINUTE_MS);
    await rig.clock.advance(MINUTE_MS);
    expect(rig.trace.filter((line) => line === `start ${key}/watch/0`).length).toBe(1);
    expect(rig.trace).not.toContain(`end ${key}/watch/0`);
  });

  test("a failure without a definite answer is tried again, later and later, up to a bound", async () => {
    const restore = seedMathRandom(5);
    const atMs: number[] = [];
    const rig = startRig({
      script: {
        open: async () => {
          atMs.push(rig.clock.monotonicMs());
          throw new Error("no answer");
        },
      },
    });
    offer(rig);
    await rig.clock.advance(10 * MINUTE_MS);
    restore();
    const waits = atMs.slice(1).map((ms, i) => ms - (atMs[i] ?? 0));
    for (const [i, waited] of waits.entries()) {
      const ideal = Math.min(EFFECT_RETRY_MS * 2 ** (i + 1), EFFECT_RETRY_MS_MAX);
      expect(waited).toBeGreaterThanOrEqual(ideal * 0.79);
      expect(waited).toBeLessThanOrEqual(ideal * 1.21);
    }
    expect(waits.length).toBeGreaterThan(15);
    expect(rig.logged.filter((event) => event === "effect-failed").length).toBe(atMs.length);
  });

  test("one effect never runs twice at once, and reports are applied in their order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const below = seededRandom(seed);
        const running = new Set<string>();
        const slow =
          (act: NonNullable<Script["open"]>): NonNullable<Script["open"]> =>
          async (state, emit, signal, effect) => {
            expect(running.has(effect.id)).toBe(false);
            running.add(effect.id);
            try {
              await rig.clock.sleep(below(3000), below(2) === 0 ? signal : undefined);
              if (below(4) === 0) throw new Error("no answer");
              return await act(state, emit, signal, effect);
            } finally {
              running.delete(effect.id);
            }
          };
        const create: typeof SMOOTH.create = async (state, ...rest) => {
          const number = "try" in state ? state.try : 0;
          if (below(3) > 0) return await SMOOTH.create(state, ...rest);
          return createFailed(below(2) === 0 ? "unknown-outcome" : "capacity", number);
        };
        const script = Object.fromEntries(
          Object.entries({ ...ended, create }).map(([kind, act]) => [kind, slow(act)]),
        );
        const rig = startRig({ script });
        for (let n = 0; n < 4; n += 1) offer(rig, n);
        await rig.clock.until(
          () => [...rig.ledger.live()].length === 0 && rig.trace.length > 8,
          HOUR_MS,
        );
        for (let n = 0; n < 4; n += 1) {
          const last = rig.journal.history(keyOf(n)).at(-1)?.state ?? "";
          expect(["closed", "failed"]).toContain(last);
        }
        await rig.clock.run(rig.ledger.stop(), MINUTE_MS);
      }),
      { numRuns: 40 },
    );
  });
});
