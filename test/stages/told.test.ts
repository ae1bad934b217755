/** What a requester is told when no machine can be had: words of ours, never a backend's. */
import { describe, expect, test } from "bun:test";
import { BridgeError, type ErrorCode } from "../../src/base/errors.ts";
import { createLogger } from "../../src/base/log.ts";
import { Secret } from "../../src/base/secret.ts";
import type { Backend } from "../../src/fleet/backend.ts";
import { createFleet } from "../../src/fleet/fleet.ts";
import type { Provisioning, Resolved } from "../../src/ledger/state.ts";
import type { StageContext } from "../../src/stages/context.ts";
import { createStage, routeStage } from "../../src/stages/machine.ts";
import { backendOf } from "../fleet/scripted.ts";
import { samplePlacement, stateNamed } from "../ledger/samples.ts";
import { seedNamed } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { fakeClock } from "../support/fake-clock.ts";

const SECRET = "arn:aws:iam::123456789012:user/ops";
const NEVER = new AbortController().signal;

/** A provider whose only backend fails each create in this way. */
function failing(
  error: unknown,
  changes: Partial<Backend> = {},
): { context: StageContext; lines: string[] } {
  const clock = fakeClock();
  const lines: string[] = [];
  const log = createLogger({
    level: "info",
    format: "json",
    nowMs: clock.nowMs,
    write: (line) => void lines.push(line),
  });
  const backend = backendOf(samplePlacement().backend, {
    provision: () => Promise.reject(error),
    ...changes,
  });
  const context = {
    providerId: seedNamed("us"),
    localSecret: new Secret(seedNamed("local")),
    fleet: createFleet([{ backend, priority: 0 }], clock, log),
    clock,
    log,
  } as unknown as StageContext;
  return { context, lines };
}

describe("a create that fails", () => {
  const codes: readonly [thrown: unknown, code: ErrorCode, level: string][] = [
    [new BridgeError("capacity", SECRET), "capacity", "warn"],
    [new BridgeError("quota", SECRET), "quota", "warn"],
    [new BridgeError("bad-image", SECRET), "bad-image", "warn"],
    [new BridgeError("auth", SECRET), "auth", "error"],
    [new Error(SECRET), "bug", "error"],
    [new BridgeError("timeout", SECRET), "bug", "error"],
  ];
  for (const [thrown, code, level] of codes) {
    test(`with ${String(thrown).split(":")[0]} ${code} is told in our words, and logged in the backend's`, async () => {
      const { context, lines } = failing(thrown);
      const state = stateNamed("provisioning") as Provisioning;
      const event = await createStage(context, state, NEVER);
      expect(event).toMatchObject({ type: "create-failed", try: 0, code });
      expect(JSON.stringify(event)).not.toContain(SECRET);
      const line = lines.find((one) => one.includes("create-failed")) ?? "";
      expect(line).toContain(`"level":"${level}"`);
      expect(line).toContain(SECRET);
    });
  }

  test("because it came too fast is tried again under the same name", () => {
    const { context } = failing(new BridgeError("throttle", "slow down"));
    const state = stateNamed("provisioning") as Provisioning;
    expect(createStage(context, state, NEVER)).rejects.toThrow("slow down");
  });
});

describe("a route that leads nowhere", () => {
  const state = stateNamed("resolved") as Resolved;

  test("waits while a backend has not said yet what it has", () => {
    const { context } = failing(undefined);
    expect(codeThrownBy(() => routeStage(context, state))).toBe("capacity");
  });

  test("says so without naming a backend, and logs why", async () => {
    const { context, lines } = failing(undefined);
    await context.fleet.refresh(NEVER);
    const elsewhere = {
      ...state,
      resolution: { ...state.resolution, regionClass: "asia" },
    } as const;
    const event = routeStage(context, elsewhere as Resolved);
    expect(event).toMatchObject({ type: "routed", placements: [] });
    expect(JSON.stringify(event)).not.toContain(samplePlacement().backend);
    expect(lines.find((line) => line.includes("no-placement"))).toContain(
      samplePlacement().backend,
    );
  });

  test("is taken for one when the backend has failed to say it", async () => {
    const { context } = failing(undefined, {
      capabilities: () => Promise.reject(new Error("down")),
    });
    await context.fleet.refresh(NEVER);
    expect(routeStage(context, state)).toMatchObject({ type: "routed", placements: [] });
  });
});
