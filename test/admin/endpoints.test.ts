import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { METRICS_TYPE } from "../../src/admin/prometheus.ts";
import type { ProviderParts } from "../../src/admin/provider-source.ts";
import {
  AcceptedSchema,
  LiveSchema,
  ProblemSchema,
  ReadySchema,
  snapshotCodec,
  whyCodec,
} from "../../src/admin/schemas.ts";
import { EVENTS_KEPT_MAX } from "../../src/base/limits.ts";
import { codec } from "../../src/base/schema.ts";
import type { Provider } from "../../src/provider.ts";
import { backendOf, wanted } from "../fleet/scripted.ts";
import { SMOOTH } from "../ledger/rig.ts";
import { routed, sampleMachine, samplePlacement } from "../ledger/samples.ts";
import { eventually } from "../support/eventually.ts";
import { readExposition, seriesValue } from "./exposition.ts";
import { type AdminRig, endGrant, offerGrant, startAdminRig } from "./rig.ts";

let rig: AdminRig;
const onMetal = { ...samplePlacement(0), backend: "metal" };

beforeEach(async () => {
  rig = startAdminRig({
    backends: [
      backendOf("metal"),
      backendOf("gcp", { capabilities: () => Promise.reject(new Error("down")) }),
    ],
    script: {
      ...SMOOTH,
      route: async () => {
        rig.fleet.route(wanted({ tee: "tdx" }));
        return routed(onMetal);
      },
      create: async () => ({
        type: "up",
        try: 0,
        machine: { ...sampleMachine(0), backend: "metal" },
      }),
    },
  });
  rig.publishCard();
  await rig.fleet.refresh(new AbortController().signal);
});
afterEach(() => rig.close());

const json = async (path: string): Promise<unknown> => await (await rig.get(path)).json();

test("the provider fits the source", () => {
  const fits = (provider: Provider): ProviderParts => provider; // checked by the compiler
  expect(fits).toBeFunction();
});

describe("answers", () => {
  test("/livez knows the process and nothing else", async () => {
    rig.connected = 0;
    rig.standing.drain({ reason: "stop", terminate: false });
    const answer = await rig.get("/livez");
    expect(answer.status).toBe(200);
    codec(LiveSchema, "livez").check(await answer.json());
  });

  test("/healthz is /readyz", async () => {
    for (const connected of [3, 1]) {
      rig.connected = connected;
      const [ready, alias] = await Promise.all([rig.get("/readyz"), rig.get("/healthz")]);
      expect(ready.status).toBe(connected === 3 ? 200 : 503);
      expect(alias.status).toBe(ready.status);
      const body = codec(ReadySchema, "readyz").check(await ready.json());
      expect(await alias.json()).toEqual(body);
      expect(body.ready).toBe(ready.status === 200);
    }
  });

  test("the snapshot has its schema, before and after a grant's whole life", async () => {
    const empty = snapshotCodec.check(await json("/api/v1/snapshot"));
    expect(empty.grants.active).toBe(0);
    expect(empty.backends.map(({ name, state, error }) => ({ name, state, error }))).toEqual([
      { name: "metal", state: "ok", error: null },
      { name: "gcp", state: "failing", error: "invariant" },
    ]);
    const key = offerGrant(rig, 1);
    await eventually("delivered", () => rig.ledger.get(key)?.state === "delivered");
    const running = snapshotCodec.check(await json("/api/v1/snapshot"));
    expect(running.grants).toMatchObject({
      active: 1,
      byState: { delivered: 1, received: 0 },
      repliesPending: 1,
      provisioned: { cpuMillicores: 2000, ramMib: 2048 },
      lifetime: { seen: 1, admitted: 1, receipts: 1 },
    });
    expect(running.backends[0]?.machines).toEqual({ starting: 0, running: 1, ending: 0 });
    expect(running.money.reservedMicros).toBeGreaterThan(0);
    expect(running.money.todayMicros).toBe(running.money.reservedMicros);
    endGrant(rig, key, {
      cpuCoreMs: 7_200_500,
      ramMibSeconds: 90,
      netBytes: 12,
      basis: "measured",
    });
    await eventually("settled", () => rig.ledger.books().active === 0);
    const after = snapshotCodec.check(await json("/api/v1/snapshot"));
    expect(after.usage).toEqual({
      cpuCoreSeconds: 7200,
      ramMibSeconds: 90,
      netBytes: 12,
      netUnknownGrants: 0,
      unmeasuredGrants: 0,
    });
    expect(after.backends[0]?.usage).toEqual(after.usage);
    expect(after.grants.lifetime.outcomes.completed).toBe(1);
    expect(after.money.reservedMicros).toBe(0);
    expect(after.backends[0]?.spentMicros).toBe(after.money.spentTotalMicros);
    expect(after.events.map(({ kind }) => kind)).toEqual([
      ...(["grant-ended", "receipt-posted", "machine-up", "grant-admitted"] as const),
      "backend-failing",
    ]);
  });

  test("usage nobody measured is counted as grants and never as zero", async () => {
    const key = offerGrant(rig, 1);
    await eventually("delivered", () => rig.ledger.get(key)?.state === "delivered");
    endGrant(rig, key, { cpuCoreMs: 0, ramMibSeconds: 0, netBytes: null, basis: "unknown" });
    await eventually("settled", () => rig.ledger.books().active === 0);
    expect(snapshotCodec.check(await json("/api/v1/snapshot")).usage).toEqual({
      cpuCoreSeconds: 0,
      ramMibSeconds: 0,
      netBytes: null,
      netUnknownGrants: 1,
      unmeasuredGrants: 1,
    });
  });

  test("/api/v1/why tells codes, counts and what was left out", async () => {
    for (const n of [1, 2, 3, 4, 5]) offerGrant(rig, n); // the cap is 4
    await eventually("all taken", () => (rig.ledger.totals().get("grants:refused") ?? 0) === 1);
    await eventually("routed", () => (rig.ledger.totals().get("receipts") ?? 0) === 4);
    rig.connected = 0;
    const why = whyCodec.check(await json("/api/v1/why"));
    expect(why.refusals).toMatchObject([{ code: "busy", count: 1, total: 1 }]);
    expect(why.refusals[0]?.meaning).toContain("grantsMax");
    expect(why.leftOut).toEqual([{ backend: "metal", code: "tee", count: 4 }]);
    expect(why.lastRoute).toMatchObject({
      placements: 0,
      leftOut: [{ backend: "metal", code: "tee", count: 1 }],
    });
    expect(why.failing.map(({ name }) => name)).toEqual(["network"]);
  });

  test("times are whole minutes and the ring is bounded", async () => {
    for (let n = 0; n < 2 * EVENTS_KEPT_MAX; n += 1) rig.observer.ring.add({ kind: "journal-ok" });
    const { events, provider } = snapshotCodec.check(await json("/api/v1/snapshot"));
    expect(events).toHaveLength(EVENTS_KEPT_MAX);
    for (const { minuteMs } of events) expect(minuteMs % 60_000).toBe(0);
    expect(provider.startedMs % 60_000).toBe(0);
  });

  test("/openapi/json describes every route, and loads nothing from anywhere", async () => {
    const text = await (await rig.get("/openapi/json")).text();
    const document = JSON.parse(text) as { paths: Record<string, Record<string, unknown>> };
    const routes = Object.entries(document.paths).map(
      ([path, methods]) => `${Object.keys(methods).join()} ${path}`,
    );
    expect(routes.sort()).toEqual([
      ...["get /api/v1/events", "get /api/v1/snapshot", "get /api/v1/why"],
      ...["get /healthz", "get /livez", "get /metrics", "get /readyz"],
      ...["post /api/v1/drain", "post /api/v1/resume", "post /api/v1/retire"],
    ]);
    expect(text).not.toMatch(/https?:\/\//);
    expect((await rig.get("/openapi")).status).toBe(404);
  });
});

describe("metrics", () => {
  test("are well formed, and every declared metric is there", async () => {
    const key = offerGrant(rig, 1);
    await eventually("delivered", () => rig.ledger.get(key)?.state === "delivered");
    const answer = await rig.get("/metrics");
    expect(answer.headers.get("content-type")).toBe(METRICS_TYPE);
    const families = readExposition(await answer.text());
    const declared = Object.values(rig.observer.meters.specs).map(
      ({ name }) => `compute_bridge_${name}`,
    );
    expect([...families.keys()].sort()).toEqual(declared.sort());
    for (const { name, labels } of Object.values(rig.observer.meters.specs)) {
      for (const series of families.get(`compute_bridge_${name}`)?.series ?? []) {
        const { le: _, ...own } = series.labels;
        expect(Object.keys(own).sort()).toEqual(Object.keys(labels).sort());
      }
    }
    expect(seriesValue(families, "compute_bridge_grants_active")).toBe(1);
    expect(
      seriesValue(families, "compute_bridge_machines", { backend: "metal", state: "running" }),
    ).toBe(1);
    const counted = (stage: string): number =>
      seriesValue(families, "compute_bridge_grant_stage_duration_seconds_count", { stage });
    expect(["open", "route", "create", "deliver"].map(counted)).toEqual([1, 1, 1, 1]);
    expect(
      seriesValue(families, "compute_bridge_journal_write_duration_seconds_count"),
    ).toBeGreaterThan(0);
    const calls = { backend: "gcp", op: "capabilities", result: "invariant" };
    expect(seriesValue(families, "compute_bridge_backend_requests_total", calls)).toBe(1);
  });

  test("a code no list knows is `other`, whoever sent it", async () => {
    rig.peerRefusals.set("bad-signature", 3);
    rig.peerRefusals.set("made-up-by-a-peer", 2);
    const families = readExposition(await (await rig.get("/metrics")).text());
    const refused = "compute_bridge_records_refused_total";
    expect(seriesValue(families, refused, { code: "bad-signature" })).toBe(3);
    expect(seriesValue(families, refused, { code: "other" })).toBe(2);
  });
});

describe("orders", () => {
  const accepted = codec(AcceptedSchema, "accepted");

  test("are passed on, answered with 202 and told as events", async () => {
    const drained = await rig.post("/api/v1/drain", '{"terminate": true}');
    expect(drained.status).toBe(202);
    expect(accepted.check(await drained.json())).toEqual({
      accepted: "drain",
      standing: "draining",
      grantsActive: 0,
    });
    expect((await rig.get("/readyz")).status).toBe(503);
    const resumed = await rig.post("/api/v1/resume");
    expect(accepted.check(await resumed.json()).standing).toBe("serving");
    expect((await rig.post("/api/v1/retire", "{}")).status).toBe(202);
    expect(rig.ordered).toEqual(["drain true", "resume", "retire false"]);
    const { events } = snapshotCodec.check(await json("/api/v1/snapshot"));
    const told = events.filter(({ kind }) => kind === "operator").map(({ code }) => code);
    expect(told).toEqual(["retire", "resume", "drain"]);
  });

  test("that make no sense as things stand are answered with their code", async () => {
    const answer = await rig.post("/api/v1/resume");
    expect(answer.status).toBe(409);
    expect(codec(ProblemSchema, "problem").check(await answer.json()).code).toBe("not-now");
  });

  for (const [what, body] of Object.entries({
    "JSON cut off": '{"terminate":tr',
    "a wrong type": '{"terminate":"c4n4ry"}',
    "an unknown key": '{"c4n4ry":true}',
    "not an object": "[]",
    "not JSON": "c4n4ry",
  })) {
    test(`a body that is ${what} does nothing and is not repeated`, async () => {
      const answer = await rig.post("/api/v1/drain", body);
      expect(answer.status).toBe(400);
      const text = await answer.text();
      expect(codec(ProblemSchema, "problem").check(JSON.parse(text)).code).toBe("bad-argument");
      expect(text).not.toContain("c4n4ry");
      expect(rig.ordered).toEqual([]);
    });
  }

  test("resume takes no terminate", async () => {
    rig.standing.drain({ reason: "stop", terminate: false });
    expect((await rig.post("/api/v1/resume", '{"terminate":true}')).status).toBe(400);
    expect(rig.standing.now()).toBe("draining");
  });
});

test("a fault of our own is answered without its text, and logged", async () => {
  await rig.close();
  rig = startAdminRig({
    controls: {
      drain: () => {
        throw new Error("c4n4ry: the thing at /home/somebody broke");
      },
    },
  });
  const answer = await rig.post("/api/v1/drain");
  expect(answer.status).toBe(500);
  const text = await answer.text();
  expect(codec(ProblemSchema, "problem").check(JSON.parse(text)).code).toBe("invariant");
  expect(text).not.toContain("c4n4ry");
  expect(rig.logged()).toContain("admin-failed");
});
