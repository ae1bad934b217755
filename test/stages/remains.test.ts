/** Ending machines: until the backend has said so twice, side by side, and ever less often. */
import { expect, test } from "bun:test";
import { BridgeError } from "../../src/base/errors.ts";
import { GONE_RECHECK_MS, GONE_RECHECK_MS_MAX, TERMINATE_ALARM_MS } from "../../src/base/limits.ts";
import { createLogger } from "../../src/base/log.ts";
import type { MachineRef } from "../../src/fleet/backend.ts";
import { createFleet } from "../../src/fleet/fleet.ts";
import { endMachines } from "../../src/stages/remains.ts";
import { backendOf } from "../fleet/scripted.ts";
import { fakeClock } from "../support/fake-clock.ts";

type Word = "gone" | "ending" | "fails";

/** A backend that says of each machine what its script says, the last word for ever. */
function rig(scripts: Readonly<Record<string, readonly Word[]>>) {
  const clock = fakeClock();
  const lines: string[] = [];
  const log = createLogger({
    level: "info",
    format: "json",
    nowMs: clock.nowMs,
    write: (line) => void lines.push(line),
  });
  const asked: Record<string, number[]> = {};
  const backend = backendOf("cloud", {
    async terminate({ name }) {
      const times = [...(asked[name] ?? []), clock.monotonicMs()];
      asked[name] = times;
      const script = scripts[name] ?? [];
      const word = script[Math.min(times.length, script.length) - 1] ?? "gone";
      if (word === "fails") throw new BridgeError("throttle", "slow down");
      return word;
    },
  });
  const fleet = createFleet([{ backend, priority: 0 }], clock, log);
  const stop = new AbortController();
  const targets: MachineRef[] = Object.keys(scripts).map((name) => ({ backend: "cloud", name }));
  let over = false;
  void endMachines({ fleet, clock, log }, targets, stop.signal).then(() => {
    over = true;
  });
  return { clock, lines, asked, stop, over: () => over };
}

test("one word is not enough, and a word taken back starts over", async () => {
  const { clock, asked, over } = rig({ m: ["gone", "ending", "gone", "fails", "gone", "gone"] });
  await clock.advance(60_000);
  expect([asked.m?.length, over()]).toEqual([6, true]);
});

test("one that will not end keeps no other waiting, is asked ever less often, and is told of by no name", async () => {
  const { clock, asked, over, lines, stop } = rig({ stubborn: ["ending"], quick: ["gone"] });
  await clock.advance(2 * GONE_RECHECK_MS);
  expect(asked.quick?.length).toBe(2);
  await clock.advance(2 * TERMINATE_ALARM_MS);
  expect(over()).toBe(false);
  const times = asked.stubborn ?? [];
  const gaps = times.slice(1).map((ms, i) => ms - (times[i] ?? 0));
  expect(gaps).toEqual(gaps.toSorted((a, b) => a - b));
  expect(gaps.at(-1)).toBe(GONE_RECHECK_MS_MAX);
  expect(lines.some((line) => line.includes("machine-will-not-end"))).toBe(true);
  expect(lines.join("\n")).not.toContain("stubborn");
  stop.abort();
  await clock.advance(1000);
  expect(over()).toBe(true);
});
