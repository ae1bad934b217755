/** The stages around the machine: what is ordered, what a backend's answer becomes, and which machines are ended. */
import { describe, expect, test } from "bun:test";
import { must } from "../../src/base/assert.ts";
import { toHex } from "../../src/base/bytes.ts";
import { signingKey } from "../../src/base/ed25519.ts";
import { BridgeError, type ErrorCode } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import { Secret } from "../../src/base/secret.ts";
import type { Backend, MachineOrder, MachineRef } from "../../src/fleet/backend.ts";
import { createFleet } from "../../src/fleet/fleet.ts";
import type { Provisioning, Terminating } from "../../src/ledger/state.ts";
import type { StageContext } from "../../src/stages/context.ts";
import { createStage, tenantSeed, terminateStage } from "../../src/stages/machine.ts";
import { backendOf } from "../fleet/scripted.ts";
import { id, sampleMachine, stateNamed } from "../ledger/samples.ts";
import { seedNamed } from "../support/coalition.ts";
import { fakeClock } from "../support/fake-clock.ts";

const NEVER = new AbortController().signal;

function contextOf(...backends: readonly Backend[]): StageContext {
  const clock = fakeClock();
  return {
    providerId: id(2),
    localSecret: new Secret(seedNamed("local secret")),
    fleet: createFleet(
      backends.map((backend, priority) => ({ backend, priority })),
      clock,
      silentLogger,
    ),
    clock,
    log: silentLogger,
  } as unknown as StageContext; // and nothing else: these stages need no network
}

function provisioning(): Provisioning {
  const state = stateNamed("provisioning");
  if (state.state !== "provisioning") throw new Error(`it is ${state.state}`);
  return state;
}

function terminating(): Terminating {
  const state = stateNamed("terminating, then a refusal");
  if (state.state !== "terminating") throw new Error(`it is ${state.state}`);
  return state;
}

/** What the backend of this try is asked for. */
async function ordered(state: Provisioning): Promise<MachineOrder> {
  const orders: MachineOrder[] = [];
  const provision: Backend["provision"] = async (order) => {
    orders.push(order);
    return sampleMachine();
  };
  const names = state.placements.map(({ backend }) => backend);
  await createStage(
    contextOf(...names.map((name) => backendOf(name, { provision }))),
    state,
    NEVER,
  );
  return must(orders[0], "one order");
}

describe("create", () => {
  test("the same try gives the same order, byte for byte, and another try another name", async () => {
    const state = provisioning();
    const [first, again] = [await ordered(state), await ordered(state)];
    expect(again).toEqual(first);
    expect(again.bootstrapHostSeed.reveal()).toEqual(first.bootstrapHostSeed.reveal());
    const next = await ordered({ ...state, try: 1 });
    expect(next.name).not.toBe(first.name);
    expect(next.bootstrapLoginSeed.reveal()).not.toEqual(first.bootstrapLoginSeed.reveal());
  });

  test("tags, shape and bounds come from the state", async () => {
    const state = provisioning();
    const order = await ordered(state);
    const placement = must(state.placements[0], "a placement");
    expect(order.tags).toEqual({
      providerId: toHex(id(2)),
      grantId: toHex(state.grantId),
      attempt: 1,
      try: 0,
      deadlineMs: state.deadlineMs,
    });
    expect(order.deadlineMs).toBe(state.deadlineMs);
    expect([order.region, order.zone, order.shape]).toEqual([
      placement.region,
      placement.zone,
      placement.shape,
    ]);
    expect(order.egress).toEqual(state.resolution.manifest.networkPolicy);
  });

  test("the requester's own key logs in; without one, a key that only this host derives", async () => {
    const state = provisioning();
    expect((await ordered(state)).loginKey).toEqual(must(state.resolution.sshKey, "a key"));
    const { sshKey: _, ...keyless } = state.resolution;
    const order = await ordered({ ...state, resolution: keyless });
    expect(order.loginKey).toEqual(signingKey(tenantSeed(contextOf(), state)).publicKey);
  });

  const failing = (error: unknown): StageContext =>
    contextOf(backendOf("backend-0", { provision: () => Promise.reject(error) }));

  const definite: readonly ErrorCode[] = [
    "capacity",
    "quota",
    "auth",
    "bug",
    "unknown-outcome",
    "bad-image",
    "machine-ended",
    "wrong-host-key",
  ];
  test.each(definite)("%s is reported as it is, and the backend's words are not", async (code) => {
    const error = new BridgeError(code, "account 1234 in zone a");
    const event = await createStage(failing(error), provisioning(), NEVER);
    expect(event).toMatchObject({ type: "create-failed", try: 0, code });
    expect(JSON.stringify(event)).not.toContain("1234");
  });

  test.each([
    ["no BridgeError", new TypeError("undefined is not a function")],
    ["an error of another family", new BridgeError("timeout", "no answer")],
  ])("%s is a bug of ours", async (_, error) => {
    const event = await createStage(failing(error), provisioning(), NEVER);
    expect(event).toMatchObject({ type: "create-failed", code: "bug" });
  });

  test("throttled is no outcome: it is tried again", async () => {
    const attempt = createStage(
      failing(new BridgeError("throttle", "slow down")),
      provisioning(),
      NEVER,
    );
    await expect(attempt).rejects.toMatchObject({ code: "throttle" });
  });

  test("what was aborted reports nothing", async () => {
    const stop = new AbortController();
    const provision: Backend["provision"] = async () => {
      stop.abort();
      throw new BridgeError("unknown-outcome", "given up");
    };
    const context = contextOf(backendOf("backend-0", { provision }));
    expect(await createStage(context, provisioning(), stop.signal)).toBeUndefined();
  });
});

describe("terminate", () => {
  /** Runs the stage to its end; what was ended, in order, each once. */
  async function ended(state: Terminating): Promise<MachineRef[]> {
    const asked = new Map<string, MachineRef>();
    const terminate: Backend["terminate"] = async (machine) => {
      asked.set(`${machine.backend}/${machine.name}`, machine);
      return "gone";
    };
    const names = [0, 1, 2].map((n) => `backend-${n}`);
    const context = contextOf(...names.map((name) => backendOf(name, { terminate })));
    const { clock } = context as unknown as { readonly clock: ReturnType<typeof fakeClock> };
    const event = await clock.run(terminateStage(context, state, NEVER), 60_000);
    expect(event).toEqual({ type: "gone" });
    return [...asked.values()];
  }

  test("a machine that never answered is ended by the name its order had", async () => {
    const { name } = await ordered(provisioning());
    expect(await ended(terminating())).toEqual([{ backend: "backend-0", name }]);
  });

  test("machines that were found are ended by their own names, on whichever backend", async () => {
    const found = [
      { backend: "backend-1", name: "cb-found" },
      { backend: "backend-2", name: "cb-other" },
    ];
    expect(await ended({ ...terminating(), found })).toEqual(found);
  });

  test("with neither a placement nor a machine there is nothing to end", async () => {
    expect(await ended({ ...terminating(), placements: [], found: [] })).toEqual([]);
  });
});
