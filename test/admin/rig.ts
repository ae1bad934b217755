/**
 * A provider's parts as the admin endpoint sees them: the real ledger, fleet, standing, records and observer; only the
 * effects, the backends and the network belong to the test. Its clock and its HTTP are real.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AdminControls, AdminSource } from "../../src/admin/facts.ts";
import { listenAdmin } from "../../src/admin/listener.ts";
import { createObserver, type Observer } from "../../src/admin/observer.ts";
import { adminSource } from "../../src/admin/provider-source.ts";
import { type Admin, startAdmin } from "../../src/admin/server.ts";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { createLogger } from "../../src/base/log.ts";
import { Secret } from "../../src/base/secret.ts";
import { endorse } from "../../src/coalition/endorsement.ts";
import { providerId } from "../../src/coalition/ids.ts";
import { preHash } from "../../src/coalition/manifest.ts";
import { coalitionRecords } from "../../src/coalition/records.ts";
import type { Backend } from "../../src/fleet/backend.ts";
import { createFleet, type Fleet } from "../../src/fleet/fleet.ts";
import type { Caps } from "../../src/ledger/inbox.ts";
import { type Journal, openJournal } from "../../src/ledger/journal.ts";
import { type Ledger, startLedger } from "../../src/ledger/ledger.ts";
import type { UsageRecord } from "../../src/ledger/state.ts";
import type { EffectHandler } from "../../src/ledger/workers.ts";
import { encodeRecord, signRecord } from "../../src/network/record.ts";
import { createStore } from "../../src/network/store.ts";
import { ownManifest } from "../../src/stages/card.ts";
import type { StageContext } from "../../src/stages/context.ts";
import { createStanding, type StandingKeeper } from "../../src/stages/standing.ts";
import { grantOf, keyOf, lastsUntilAborted, type Script } from "../ledger/rig.ts";
import { granted, sampleCaps, sampleContext } from "../ledger/samples.ts";
import { keyNamed, memberKey, testCeremony } from "../support/coalition.ts";

export const TOKEN = new Uint8Array(32).map((_, i) => i);
export const TOKEN_HEX = Buffer.from(TOKEN).toString("hex");

export interface RigOptions {
  readonly script?: Script;
  readonly journal?: Journal;
  readonly backends?: readonly Backend[];
  readonly caps?: Partial<Caps>;
  readonly controls?: Partial<AdminControls>;
  readonly connected?: number;
}

export interface AdminRig {
  readonly admin: Admin;
  readonly providerId: Uint8Array;
  readonly source: AdminSource;
  readonly observer: Observer;
  readonly ledger: Ledger;
  readonly fleet: Fleet;
  readonly standing: StandingKeeper;
  /** Event names of everything logged so far. */
  logged(): string[];
  /** Whole log lines. */
  readonly lines: string[];
  /** The members that count as connected. */
  connected: number;
  /** Every write to the journal fails while this is set. */
  broken: boolean;
  readonly ordered: string[];
  readonly peerRefusals: Map<string, number>;
  publishCard(): void;
  get(path: string, init?: RequestInit): Promise<Response>;
  post(path: string, body?: string, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
}

export function startAdminRig(options: RigOptions = {}): AdminRig {
  const { coalition } = testCeremony();
  const clock: Clock = systemClock;
  const lines: string[] = [];
  const log = createLogger({
    level: "debug",
    format: "json",
    write: (line) => void lines.push(line),
    nowMs: clock.nowMs,
  });
  const caps = { ...sampleCaps, ...options.caps };
  const backends = (options.backends ?? []).map((backend, i) => ({ backend, priority: i }));
  const observer = createObserver({
    backends: backends.map(({ backend }) => backend.name),
    currency: coalition.file.currency,
    clock,
  });
  const state = { connected: options.connected ?? 3, broken: false };
  const fleet = observer.fleet(createFleet(observer.configured(backends), clock, log));
  const peerRefusals = new Map<string, number>();
  const { context, publishCard } = providerContext(fleet, peerRefusals, () => state.connected);
  const kept = options.journal ?? openJournal(":memory:", "provider-a");
  const standing = createStanding(context, kept);
  const ledger = startLedger({
    journal: observer.journal(breakable(kept, () => state.broken)),
    clock,
    log,
    handle: scripted(options.script ?? {}),
    maySpend: Promise.resolve(),
    context: () => ({
      ...sampleContext({ nowMs: clock.nowMs(), caps }),
      standing: standing.now(),
    }),
  });
  const ordered: string[] = [];
  const source = adminSource({
    provider: {
      context,
      ledger,
      fleet,
      standing,
      reconciler: { counts: { orphansSeen: 2, orphansEnded: 1 } },
    },
    name: "provider-a",
    caps,
    observer,
    controls: {
      drain: ({ terminate }) => {
        ordered.push(`drain ${terminate}`);
        standing.drain({ reason: "stop", terminate });
      },
      resume: () => {
        if (standing.now() !== "draining") throw new BridgeError("not-now", "nothing to resume");
        ordered.push("resume");
        standing.resume();
      },
      retire: ({ terminate }) => void ordered.push(`retire ${terminate}`),
      ...options.controls,
    },
  });
  const admin = startAdmin({
    source,
    meters: observer.meters,
    listener: listenAdmin(0),
    token: new Secret(TOKEN.slice()),
    clock,
    log,
  });
  const get = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(new URL(path, admin.url), init);
  return Object.assign(state, {
    admin,
    providerId: context.providerId,
    source,
    observer,
    ledger,
    fleet,
    standing,
    lines,
    logged: () => lines.map((line) => (JSON.parse(line) as { event: string }).event),
    ordered,
    peerRefusals,
    publishCard,
    get,
    post: (path: string, body?: string, headers: Record<string, string> = {}) =>
      get(path, {
        method: "POST",
        headers: { authorization: `Bearer ${TOKEN_HEX}`, ...headers },
        ...(body === undefined ? {} : { body }),
      }),
    async close() {
      await admin.stop();
      await ledger.stop();
      kept.close();
    },
  });
}

/** Offers the n-th grant, with half an hour to live, and returns its key. */
export function offerGrant(rig: Pick<AdminRig, "ledger">, n: number): string {
  const { grant } = grantOf(n);
  const event = granted({ ...grant, notAfterMs: Date.now() + 1_800_000 });
  if (!rig.ledger.offer(keyOf(n), event)) throw new Error("the ledger took no grant");
  return keyOf(n);
}

/** Its machine has ended by itself. */
export function endGrant(rig: Pick<AdminRig, "ledger">, key: string, usage: UsageRecord): void {
  rig.ledger.offer(key, { type: "exited", cause: "ended", usage });
}

export function tempJournalPath(): string {
  return join(mkdtempSync(join(tmpdir(), "compute-bridge-admin-")), "journal.db");
}

function scripted(script: Script): EffectHandler {
  return async (effect, state, emit, signal) =>
    await (script[effect.kind] ?? lastsUntilAborted)(state, emit, signal, effect);
}

function breakable(journal: Journal, isBroken: () => boolean): Journal {
  return {
    ...journal,
    commit(changes, totals, atMs) {
      if (isBroken()) throw new BridgeError("journal-unwritable", "no space left");
      journal.commit(changes, totals, atMs);
    },
  };
}

/** Real keys, records and endorsement; the network is a list of who is connected. */
function providerContext(
  fleet: Fleet,
  peerRefusals: ReadonlyMap<string, number>,
  connected: () => number,
): { context: StageContext; publishCard: () => void } {
  const ceremony = testCeremony();
  const { coalition } = ceremony;
  const operator = keyNamed("admin operator");
  const bootKey = keyNamed("admin boot");
  const id = providerId(operator.publicKey, "provider-a");
  const records = coalitionRecords(coalition);
  const store = createStore({
    network: coalition.network,
    collections: [records.ticks, records.markers, records.cards],
    tick: () => records.tick().seq,
    log: createLogger({ level: "error", format: "json", write: () => {}, nowMs: () => 0 }),
  });
  const nowMs = Date.now();
  for (const index of [1, 2, 3]) {
    const vote = { v: 1, seq: 7, timeMs: nowMs };
    const record = signRecord(memberKey(ceremony, index), coalition.network, "tick", vote);
    store.offer(encodeRecord(record));
  }
  const endorsement = endorse(
    operator,
    coalition.network,
    {
      name: "provider-a",
      bootKey: bootKey.publicKey,
      kemKey: bootKey.publicKey,
      seq: 1,
      notAfterMs: nowMs + 3_600_000,
    },
    nowMs,
  );
  let counter = 0;
  const context = {
    providerId: id,
    bootKey,
    endorsement: () => endorsement,
    coalition,
    records,
    replica: {
      transport: {
        peers: () => coalition.members.slice(0, connected()).map(({ peer }) => peer),
      },
      refusals: peerRefusals,
    },
    fleet,
    clock: systemClock,
    log: createLogger({ level: "error", format: "json", write: () => {}, nowMs: () => 0 }),
  } as unknown as StageContext;
  const publishCard = (): void => {
    counter += 1;
    const card = {
      v: 1,
      providerId: id,
      counter,
      tick: records.tick().seq,
      status: "serving",
      offers: [],
      rates: { minimumChargeMicros: 0, logIntervalMs: 1000 },
      telemetry: {
        cpuMillicoresProvisioned: 0,
        ramMibProvisioned: 0,
        grantsActive: 0,
        grantsMax: 1,
      },
      replyChannel: "board",
      manifestPreHash: preHash(ownManifest),
      release: { version: "1", tree: "" },
      endorsement,
    };
    store.offer(encodeRecord(signRecord(bootKey, coalition.network, "card", card)));
  };
  return { context, publishCard };
}
