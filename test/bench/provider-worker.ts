/** The real provider (src/provider.ts) with the instant backend, in a process of its own, and the stop watch in it. */

import { heapStats } from "bun:jsc";
import { join } from "node:path";
import { equal, toHex } from "../../src/base/bytes.ts";
import { systemClock } from "../../src/base/clock.ts";
import { signingKey } from "../../src/base/ed25519.ts";
import { HOUR_MS } from "../../src/base/limits.ts";
import { stderrLogger } from "../../src/base/log.ts";
import { Secret } from "../../src/base/secret.ts";
import type { RegionClass } from "../../src/coalition/classes.ts";
import { readCoalition } from "../../src/coalition/config.ts";
import { providerId } from "../../src/coalition/ids.ts";
import { createSigner, signTogether } from "../../src/coalition/signing.ts";
import type { Backend } from "../../src/fleet/backend.ts";
import type { GrantStateName } from "../../src/ledger/state.ts";
import { type Provider, startProvider } from "../../src/provider.ts";
import { openProviderState } from "../../src/stages/state-dir.ts";
import { replyKey, replyTag } from "../../src/zipnet/board.ts";
import { type InstantBackend, type InstantOptions, instantBackend } from "./instant-backend.ts";
import { ECHO_PROTOCOL } from "./member-worker.ts";
import { prefill } from "./prefill.ts";
import { cpuMs } from "./process-figures.ts";
import { watchWaits } from "./waits.ts";
import { serve } from "./worker.ts";

export interface ProviderStart {
  readonly coalitionFile: string;
  readonly folder: string;
  readonly name: string;
  readonly operatorSeed: Uint8Array;
  readonly grantsMax: number;
  readonly regionClass: RegionClass;
  readonly ends: InstantOptions["ends"];
  /** Ended grants that are in the journal before the provider starts (0). */
  readonly journalGrants?: number;
}

/** One grant, in milliseconds of the provider's own clock. Each part ends with a transition that is on disk. */
export interface GrantTiming {
  readonly admitMs: number;
  readonly openMs: number;
  readonly routeMs: number;
  readonly createMs: number;
  readonly deliverMs: number;
  /** From the grant's arrival to its receipt held by a quorum, the backend's time taken out. */
  readonly totalMs: number;
  /** Of that, waiting for a quorum's shares and for a quorum to hold the receipt. */
  readonly membersMs: number;
}

type Delivered = Omit<GrantTiming, "membersMs"> & {
  readonly key: string;
  /** Where the receipt stands on the board. */
  readonly reply: string;
};

interface Started {
  readonly provider: Provider;
  readonly backend: InstantBackend;
}

const MANY_MICROS = 1e12;
let started: Started | undefined;
let delivered: Delivered[] = [];
const waits = watchWaits();

const running = (): Started => {
  if (started === undefined) throw new Error("the provider is not started");
  return started;
};

const calls = {
  async start(options: ProviderStart): Promise<void> {
    const { name, operatorSeed, grantsMax, regionClass, ends } = options;
    const operatorKey = signingKey(operatorSeed).publicKey;
    const state = openProviderState(
      join(options.folder, "state"),
      toHex(providerId(operatorKey, name)),
    );
    prefill(state.journal, options.journalGrants ?? 0);
    const backend = instantBackend({ regionClass, machinesMax: grantsMax, ends });
    const backendMs = new Map<string, number>();
    const provider = await startProvider({
      ...{ name, operatorSeed: new Secret(operatorSeed), operatorKey },
      coalition: readCoalition(options.coalitionFile),
      localSecret: state.localSecret,
      journal: state.journal,
      backends: [{ backend: timed(backend, backendMs), priority: 10 }],
      ...{ listen: ["/ip4/127.0.0.1/tcp/0"], announce: [] },
      caps: {
        ...{ grantsMax, spendPerDayMicros: MANY_MICROS, spendPerGrantMicros: MANY_MICROS },
        ...{ durationMaxMs: 24 * HOUR_MS, remainingLifeMinMs: 1000, killSwitch: false },
      },
      ...{ release: "bench", cardRefreshMs: 30_000, logIntervalMs: 120_000 },
      ...{ reconcileIntervalMs: 60_000, clock: systemClock, log: stderrLogger("error") },
      join: waits.join,
    });
    watchGrants(provider, backendMs);
    await provider.ready;
    started = { provider, backend };
  },
  /** What has been delivered since the last call. */
  takeTimings(): GrantTiming[] {
    const { coalition, board } = running().provider.context;
    const { shares, puts } = waits.take(coalition.file.committee.unsealThreshold);
    const taken = delivered.map(({ key, reply, ...timing }) => {
      const bytes = board.replies.get(reply)?.bytes ?? new Uint8Array(0);
      const membersMs = (shares.get(key) ?? Number.NaN) + (puts.get(toHex(bytes)) ?? Number.NaN);
      return { ...timing, membersMs };
    });
    delivered = [];
    return taken;
  },
  counts: () => ({
    ...running().backend.counts(),
    live: [...running().provider.ledger.live()].length,
  }),
  end: ({ count }: { count: number }) => running().backend.end(count),
  cpuMs,
  /** What is really held: the heap after a full collection. */
  heapMib(): number {
    Bun.gc(true);
    return heapStats().heapSize / 2 ** 20;
  },
  /** One request of 200 bytes over libp2p to a member that answers at once. */
  async roundTrips({ peer, count }: { peer: string; count: number }): Promise<number[]> {
    const { node } = running().provider.network;
    const body = new Uint8Array(200);
    return await repeated(count, () =>
      node.request(peer, ECHO_PROTOCOL, body, { timeoutMs: 10_000 }),
    );
  },
  /** One signature by two of the members' shares, all of it in this process. */
  async signatures({ shares, count }: { shares: readonly Uint8Array[]; count: number }) {
    const { coalition } = running().provider.context;
    const message = new Uint8Array(500);
    const peers = shares.map((share, i) => {
      const signer = createSigner(coalition, i + 1, share);
      return {
        index: i + 1,
        commit: async () => signer.commit(),
        sign: async (list: Parameters<typeof signer.sign>[1]) => signer.sign(message, list),
      };
    });
    return await repeated(count, () => signTogether(coalition, message, peers, new Map()));
  },
};
export type ProviderCalls = typeof calls;

async function repeated(count: number, act: () => Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const startMs = performance.now();
    await act();
    samples.push(performance.now() - startMs);
  }
  return samples;
}

function timed(backend: Backend, spentMs: Map<string, number>): Backend {
  return {
    ...backend,
    async provision(order, signal) {
      const startMs = performance.now();
      try {
        return await backend.provision(order, signal);
      } finally {
        const { grantId } = order.tags;
        spentMs.set(grantId, (spentMs.get(grantId) ?? 0) + performance.now() - startMs);
      }
    },
  };
}

/** The clock of a grant starts when its record has come in and stops when `delivered` is on disk. */
function watchGrants({ context, ledger }: Provider, backendMs: ReadonlyMap<string, number>): void {
  const reached = new Map<string, Map<GrantStateName | "seen", number>>();
  context.records.grants.subscribe(({ key, body }) => {
    if (equal(body.providerId, context.providerId))
      reached.set(key, new Map([["seen", performance.now()]]));
  });
  ledger.onChange(({ after }) => {
    const at = reached.get(after.key);
    if (at === undefined || at.has(after.state)) return;
    at.set(after.state, performance.now());
    if (after.state !== "delivered") return;
    reached.delete(after.key);
    const between = (from: GrantStateName | "seen", to: GrantStateName): number =>
      (at.get(to) ?? Number.NaN) - (at.get(from) ?? Number.NaN);
    const spent = backendMs.get(toHex(after.grantId)) ?? 0;
    const tag = replyTag(after.resolution.secret, after.grant.attempt, "receipt");
    delivered.push({
      key: after.key,
      reply: replyKey({ providerId: context.providerId, tag }),
      admitMs: between("seen", "received"),
      openMs: between("received", "resolved"),
      routeMs: between("resolved", "provisioning"),
      createMs: between("provisioning", "running") - spent,
      deliverMs: between("running", "delivered"),
      totalMs: between("seen", "delivered") - spent,
    });
  });
}

if (import.meta.main) serve(calls);
