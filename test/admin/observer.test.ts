import { describe, expect, test } from "bun:test";
import { createObserver } from "../../src/admin/observer.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { createLogger } from "../../src/base/log.ts";
import type { Backend } from "../../src/fleet/backend.ts";
import { createFleet } from "../../src/fleet/fleet.ts";
import type { Journal } from "../../src/ledger/journal.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import { backendOf, listed, offerOf, wanted } from "../fleet/scripted.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { readExposition, seriesValue } from "./exposition.ts";

const never = new AbortController().signal;
const quiet = createLogger({ level: "error", format: "json", write: () => {}, nowMs: () => 0 });

function observe(...backends: Backend[]) {
  const clock = fakeClock();
  const observer = createObserver({
    backends: backends.map(({ name }) => name),
    currency: "EUR",
    clock,
  });
  const configured = observer.configured(backends.map((backend) => ({ backend, priority: 3 })));
  return { clock, observer, configured };
}

describe("an observed backend", () => {
  test("passes every call and every answer through", async () => {
    const calls: unknown[] = [];
    const note =
      <T>(answer: T) =>
      (...args: unknown[]): T => {
        calls.push(args);
        return answer;
      };
    const machine = { backend: "aws", name: "m" };
    const real = backendOf("aws", {
      capabilities: note(Promise.resolve([offerOf()])),
      canSatisfy: note({ code: "cpu", reason: "too small" }),
      provision: note(Promise.resolve({ host: "h" } as never)),
      watchUntilExit: note(Promise.resolve("exit" as never)),
      terminate: note(Promise.resolve("ending")),
      list: note(Promise.resolve({ machines: [listed("m")], complete: false })),
    } as Partial<Backend>);
    const { configured } = observe(real);
    const [one] = configured;
    if (one === undefined) throw new Error("no backend");
    expect(one.priority).toBe(3);
    const { backend } = one;
    expect(backend.name).toBe("aws");
    const [offer, need, order, sample] = [{}, {}, {}, () => {}] as never[];
    expect(await backend.capabilities(never)).toEqual([offerOf()]);
    expect(backend.canSatisfy(offer as never, need as never)?.reason).toBe("too small");
    expect(await backend.provision(order as never, never)).toEqual({ host: "h" } as never);
    expect(await backend.watchUntilExit(machine as never, sample as never, never)).toBe(
      "exit" as never,
    );
    expect(await backend.terminate(machine, never)).toBe("ending");
    expect(await backend.list(never)).toEqual({ machines: [listed("m")], complete: false });
    expect(calls).toEqual([
      ...[[never], [offer, need], [order, never], [machine, sample, never]],
      ...[[machine, never], [never]],
    ]);
  });

  test("counts and times what happened, and throws the very error", async () => {
    const failure = new BridgeError("capacity", "none of type x in i-0abc");
    const { observer, configured, clock } = observe(
      backendOf("aws", {
        provision: async () => {
          await clock.sleep(2000);
          throw failure;
        },
      }),
    );
    const provisioned = configured[0]?.backend.provision({} as never, never);
    const caught = provisioned?.catch((error: unknown) => error);
    await clock.advance(2000);
    expect(await caught).toBe(failure);
    const { calls, callSeconds } = observer.meters;
    expect(calls.samples()).toEqual([
      { labels: { backend: "aws", op: "provision", result: "capacity" }, value: 1 },
    ]);
    const labels = { backend: "aws", op: "provision" };
    const families = readExposition(callSeconds.text());
    const name = "compute_bridge_backend_request_duration_seconds";
    expect(seriesValue(families, `${name}_sum`, labels)).toBe(2);
    expect(observer.seen().createFailures).toEqual([
      { backend: "aws", code: "capacity", count: 1 },
    ]);
    expect(observer.ring.events()).toMatchObject([
      { kind: "create-failed", backend: "aws", code: "capacity" },
    ]);
  });

  test("a call that we gave up ourselves is no failure of the backend", async () => {
    const { observer, configured } = observe(backendOf("aws"));
    const controller = new AbortController();
    controller.abort();
    const call = configured[0]?.backend.provision({} as never, controller.signal);
    await call?.catch(() => {});
    expect(observer.meters.calls.samples()[0]?.labels.result).toBe("aborted");
    expect(observer.seen().createFailures).toEqual([]);
  });

  test("a backend that throws before it promises is counted too", async () => {
    const broken = backendOf("aws", {
      list: () => {
        throw new Error("at once");
      },
    });
    const { observer, configured } = observe(broken);
    expect(configured[0]?.backend.list(never)).rejects.toThrow("at once");
    await Promise.resolve();
    expect(observer.meters.calls.samples()[0]?.labels.result).toBe("invariant");
  });
});

test("an observed fleet routes the same and remembers why offers were left out", async () => {
  const backends = [
    backendOf("aws", { capabilities: async () => [offerOf(), offerOf({ zone: "b", free: 0 })] }),
    backendOf("gcp", {
      canSatisfy: () => ({ code: "image-kind", reason: "no oci for secret-image" }),
    }),
    backendOf("old", { canSatisfy: () => ({ code: "made-up", reason: "" }) as never }),
  ];
  const { observer, configured, clock } = observe(...backends);
  const fleet = createFleet(configured, clock, quiet);
  const observed = observer.fleet(fleet);
  await observed.refresh(never);
  expect(observer.seen().lastRoute).toBeUndefined();
  const route = observed.route(wanted());
  expect(route).toEqual(fleet.route(wanted()));
  expect(route.placements).toHaveLength(1);
  observed.route(wanted({ tee: "tdx" }));
  const { leftOut, lastRoute } = observer.seen();
  expect(leftOut).toEqual([
    { backend: "aws", code: "capacity", count: 1 },
    { backend: "gcp", code: "image-kind", count: 1 },
    { backend: "old", code: "other", count: 1 },
    { backend: "aws", code: "tee", count: 2 },
    { backend: "gcp", code: "tee", count: 1 },
    { backend: "old", code: "tee", count: 1 },
  ]);
  expect(lastRoute).toMatchObject({ placements: 0, atMs: clock.nowMs() });
  expect(JSON.stringify(observer.seen())).not.toContain("secret");
});

test("an observed journal times commits, and tells of a fault once", () => {
  const { observer } = observe();
  const kept = openJournal(":memory:", "provider-a");
  let broken = false;
  const journal: Journal = observer.journal({
    ...kept,
    commit(...change) {
      if (broken) throw new BridgeError("journal-unwritable", "no space on /var/lib/x");
      kept.commit(...change);
    },
  });
  const commit = (): void => journal.commit([], new Map([["grants:seen", 1]]), 0);
  commit();
  broken = true;
  expect(commit).toThrow("no space");
  expect(commit).toThrow("no space");
  broken = false;
  commit();
  commit();
  expect(journal.totals()).toEqual(new Map([["grants:seen", 3]]));
  expect(observer.ring.events().map(({ kind, code }) => [kind, code])).toEqual([
    ["journal-failing", "journal-unwritable"],
    ["journal-ok", undefined],
  ]);
  expect(observer.meters.journalFailures.samples()).toEqual([{ labels: {}, value: 2 }]);
  const families = readExposition(observer.meters.journalWrites.text());
  expect(seriesValue(families, "compute_bridge_journal_write_duration_seconds_count")).toBe(3);
});
