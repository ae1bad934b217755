/**
 * Nothing that points at a requester, a peer, a machine or an image leaves by any endpoint: grants full of canaries are
 * brought into every state, backends and peers speak canaries, and every answer is searched in every spelling.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { sha256 } from "../../src/base/hash.ts";
import { grantId } from "../../src/coalition/grant.ts";
import { attemptKey } from "../../src/coalition/ids.ts";
import type { GrantEvent } from "../../src/ledger/events.ts";
import type { GrantState, MachineRecord, Resolution } from "../../src/ledger/state.ts";
import { peerIdOf } from "../../src/network/identity.ts";
import { backendOf, wanted } from "../fleet/scripted.ts";
import { type Act, lastsUntilAborted } from "../ledger/rig.ts";
import {
  granted,
  routed,
  sampleGrant,
  samplePlacement,
  sampleResolution,
} from "../ledger/samples.ts";
import { testCeremony } from "../support/coalition.ts";
import { eventually } from "../support/eventually.ts";
import { type Canary, findCanaries } from "./canaries.ts";
import { type AdminRig, startAdminRig } from "./rig.ts";

const canaries: Canary[] = [];
const bytes = (name: string, n = 0) => {
  const value = sha256(utf8(`canary ${name} ${n}`));
  canaries.push({ name, value });
  return value;
};
const text = (name: string, value: string): string => {
  canaries.push({ name, value });
  return value;
};

const ENDINGS = [
  "delivered",
  "ending",
  "failed",
  "refused",
  "rejected",
  "logged",
  "opening",
] as const;
type Ending = (typeof ENDINGS)[number];
const endingOf = new Map<string, Ending>();

function plantedGrant(n: number) {
  const grant = sampleGrant({
    requestId: bytes("request id", n),
    offerId: bytes("offer id", n),
    cardHash: bytes("card hash", n),
    imageCommitment: bytes("image commitment", n),
    manifestCommitment: bytes("manifest commitment", n),
    bearerPointer: bytes("bearer pointer", n),
    validToTick: 1e6,
    notAfterMs: Date.now() + 1_800_000,
  });
  canaries.push({ name: "grant id", value: grantId(grant) });
  return { ...granted(grant), record: bytes("record", n) };
}

const resolution: Resolution = {
  ...sampleResolution,
  secret: bytes("envelope secret"),
  kemKey: bytes("requester's key"),
  ackKey: bytes("ack key"),
  sshKey: bytes("requester's ssh key"),
  regionHint: text("region hint", "hinted-region-7f3a"),
  manifest: {
    ...sampleResolution.manifest,
    crate: {
      name: text("workload", "secret-workload-9c1d"),
      version: "1",
      tree: "",
    },
  },
  image: {
    kind: "none",
    digest: bytes("image digest"),
    pointer: text("image pointer", "https://images.example/secret-image-5b2e"),
  },
};

const machine: MachineRecord = {
  backend: "metal",
  name: text("machine name", "cb-machine-41d0"),
  instanceId: text("instance id", "i-0deadbeef41d0"),
  host: text("machine host", "203.0.113.77"),
  port: 52_177,
  user: text("machine user", "tenant-6d1f"),
  hostKey: bytes("host key"),
  tee: "none",
};

const DETAIL = text("error detail", "quota exceeded for account 493-226-118");
const rejected: GrantEvent = {
  type: "rejected",
  code: "image-mismatch",
  detail: DETAIL,
  invalid: true,
  resolution,
};
const when =
  (ending: readonly Ending[], then: (state: GrantState) => GrantEvent): Act =>
  async (state, emit, signal, effect) => {
    const found = endingOf.get(state.key);
    if (found !== undefined && ending.includes(found)) return then(state);
    return await lastsUntilAborted(state, emit, signal, effect);
  };

let rig: AdminRig;

beforeAll(async () => {
  const placements = [{ ...samplePlacement(0), backend: "metal", region: "r-1" }];
  rig = startAdminRig({
    backends: [
      backendOf("metal", {
        canSatisfy: () => ({ code: "cpu", reason: `${resolution.manifest.crate.name} needs more` }),
        provision: () =>
          Promise.reject(new BridgeError("quota", `${machine.instanceId}: ${DETAIL}`)),
      }),
      backendOf("gcp", { capabilities: () => Promise.reject(new Error(DETAIL)) }),
    ],
    script: {
      open: async (state) =>
        endingOf.get(state.key) === "rejected" ? rejected : { type: "opened", resolution },
      route: async (state) => {
        const need = { ...wanted().need, manifest: resolution.manifest, regionHint: "r-1" };
        rig.fleet.route(wanted({ need }));
        return endingOf.get(state.key) === "refused"
          ? { type: "routed", placements: [], detail: DETAIL }
          : routed(...placements);
      },
      create: async (state) => {
        if (endingOf.get(state.key) !== "failed") return { type: "up", try: 0, machine };
        const order = { name: machine.name } as never;
        const place = {
          backend: "metal",
          region: "r-1",
          zone: "z-1",
          shape: samplePlacement(0).shape,
        };
        const { signal } = new AbortController();
        await rig.fleet.provision("metal", order, place, signal).catch(() => {});
        return { type: "create-failed", try: 0, code: "auth", detail: DETAIL };
      },
      deliver: async () => ({ type: "posted" }),
      watch: when(["ending", "logged"], () => ({
        type: "exited",
        cause: "ended",
        usage: { cpuCoreMs: 5000, ramMibSeconds: 7, netBytes: 11, basis: "measured" },
      })),
      terminate: when(["failed", "logged"], () => ({ type: "gone" })),
    },
  });
  for (const { peer } of testCeremony().coalition.members) {
    canaries.push({ name: "peer key", value: Buffer.from(peer, "hex") });
    canaries.push({ name: "peer id", value: peerIdOf(peer).toString() });
  }
  rig.peerRefusals.set(text("a peer's word", "made-up-by-12D3KooWEvil"), 4);
  rig.publishCard();
  await rig.fleet.refresh(new AbortController().signal);
  for (const [n, ending] of ENDINGS.entries()) {
    const event = plantedGrant(n);
    const key = attemptKey(event.grant.requestId, event.grant.attempt);
    endingOf.set(key, ending);
    canaries.push({ name: "journal key", value: key });
    await eventually("room for a grant", () => rig.ledger.books().active < 4);
    if (!rig.ledger.offer(key, event)) throw new Error("the ledger took no grant");
    await eventually(`a grant that is ${ending}`, () => settledLike(rig.ledger.get(key), ending));
    if (ending === "delivered" || ending === "opening") continue;
    rig.ledger.offer(key, { type: "end", detail: DETAIL });
  }
  rig.broken = true;
  rig.ledger.offer([...endingOf.keys()][0] ?? "", { type: "end", detail: DETAIL });
  await eventually("the journal's fault", () => rig.ledger.fault());
});
afterAll(async () => {
  rig.broken = false;
  await rig.close();
});

function settledLike(state: GrantState | undefined, ending: Ending): boolean {
  const names: Record<Ending, readonly GrantState["state"][]> = {
    delivered: ["delivered"],
    opening: ["delivered"],
    ending: ["terminating"],
    failed: ["failed"],
    refused: ["refused"],
    rejected: ["refused"],
    logged: ["logged"],
  };
  return state !== undefined && names[ending].includes(state.state);
}

/** The first events of the live stream. */
async function streamed(): Promise<string> {
  const abort = new AbortController();
  const { body } = await rig.get("/api/v1/events", { signal: abort.signal });
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  let heard = "";
  while (reader !== undefined && heard.split("event: snapshot").length < 3) {
    const { value, done } = await reader.read();
    if (done) break;
    heard += decoder.decode(value);
    rig.observer.ring.add({ kind: "journal-ok" }); // so that another snapshot is due
  }
  abort.abort();
  return heard;
}

/** An error would hold no canary either, and prove nothing. */
async function answered(path: string, answer: Promise<Response>): Promise<string> {
  const { status } = await answer;
  const expected = ["/readyz", "/healthz"].includes(path) ? [503] : [200, 202]; // the journal has a fault
  if (!expected.includes(status)) throw new Error(`${path} answered ${status}`);
  return await (await answer).text();
}

const ENDPOINTS: Record<string, () => Promise<string>> = {
  ...Object.fromEntries(
    [
      ...["/", "/livez", "/readyz", "/healthz", "/metrics", "/openapi/json"],
      ...["/api/v1/snapshot", "/api/v1/why"],
    ].map((path) => [path, () => answered(path, rig.get(path))]),
  ),
  "/api/v1/events": streamed,
  "POST /api/v1/drain": () => answered("drain", rig.post("/api/v1/drain", "{}")),
  "POST /api/v1/resume": () => answered("resume", rig.post("/api/v1/resume")),
};

describe("the search", () => {
  test("finds a canary planted on purpose, in each spelling", () => {
    const [first] = canaries;
    if (first === undefined || typeof first.value === "string") throw new Error("no canary");
    const buffer = Buffer.from(first.value);
    for (const spelt of [
      buffer.toString("hex"),
      buffer.toString("hex").toUpperCase(),
      buffer.toString("base64"),
      buffer.toString("base64url"),
      buffer.toString("hex").slice(0, 12),
      JSON.stringify({ id: [...buffer] }),
    ]) {
      expect(findCanaries(`{"x":"${spelt}"}`, [first])).not.toEqual([]);
    }
    expect(findCanaries("the quick brown fox", canaries)).toEqual([]);
  });

  test("finds one that an endpoint really shows", async () => {
    const answer = await ENDPOINTS["/api/v1/snapshot"]?.();
    // The names of backends are the operator's own and are shown: taken for a canary, one is found.
    expect(findCanaries(answer ?? "", [{ name: "planted", value: "metal" }])).toEqual([
      "planted (text)",
    ]);
    const { coalition } = testCeremony();
    expect(findCanaries(answer ?? "", [{ name: "planted", value: coalition.fingerprint }])).toEqual(
      ["planted (hex)", "planted (tail)"],
    );
  });

  test("looks at a ledger that holds them", () => {
    const held = [...rig.ledger.live()];
    expect(new Set(held.map(({ state }) => state))).toEqual(
      new Set(["delivered", "terminating", "logged", "refused", "failed"]),
    );
    const everything = JSON.stringify(held, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value,
    );
    const found = new Set(findCanaries(everything, canaries).map((one) => one.split(" (")[0]));
    for (const name of ["request id", "grant id", "record", "host key", "instance id", "ack key"]) {
      expect(found).toContain(name);
    }
    expect(canaries.length).toBeGreaterThan(60);
  });
});

describe("no canary in", () => {
  for (const [path, read] of Object.entries(ENDPOINTS)) {
    test(path, async () => {
      const answer = await read();
      expect(answer.length).toBeGreaterThan(10);
      expect(findCanaries(answer, canaries)).toEqual([]);
      expect(answer).not.toContain(String(machine.port));
    });
  }

  test("what the endpoint itself logs", async () => {
    const own = rig.lines.filter((line) => /"event":"(admin|snapshot)-/.test(line));
    expect(findCanaries(own.join("\n"), canaries)).toEqual([]);
  });
});

test("of the provider's own id 12 characters are shown, and no more", async () => {
  const id = Buffer.from(rig.providerId).toString("hex");
  for (const read of Object.values(ENDPOINTS)) expect(await read()).not.toContain(id.slice(0, 13));
  expect(await ENDPOINTS["/api/v1/snapshot"]?.()).toContain(`"${id.slice(0, 12)}"`);
});
