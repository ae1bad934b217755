/**
 * A real provider beside a real committee on the network in memory, with one scripted backend. It can be stopped and
 * started again on its journal, while another instance of it has had the word.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "../../src/base/bytes.ts";
import { HOUR_MS, SECOND_MS } from "../../src/base/limits.ts";
import { type Logger, silentLogger } from "../../src/base/log.ts";
import { Secret } from "../../src/base/secret.ts";
import { providerId } from "../../src/coalition/ids.ts";
import type { Backend, MachineOrder } from "../../src/fleet/backend.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import { type Provider, startProvider } from "../../src/provider.ts";
import { backendOf, offerOf } from "../fleet/scripted.ts";
import { sampleCaps } from "../ledger/samples.ts";
import { keyNamed, seedNamed } from "../support/coalition.ts";
import type { Committee } from "../support/committee.ts";

export const NAME = "alpha";

export interface Shop {
  readonly ordered: MachineOrder[];
  readonly ended: string[];
  readonly provider: () => Provider;
  /** What the grant's row in the journal says. */
  states(): string[];
  start(): Promise<Provider>;
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** `hangs`: a machine that is asked for never comes up. */
export function openShop(
  of: Committee,
  { hangs = false, log = silentLogger }: { readonly hangs?: boolean; readonly log?: Logger } = {},
): Shop {
  const folder = mkdtempSync(join(tmpdir(), "compute-bridge-provider-"));
  const operatorSeed = seedNamed("operator");
  const operatorKey = keyNamed("operator").publicKey;
  const ordered: MachineOrder[] = [];
  const ended: string[] = [];
  let provider: Provider | undefined;
  const running = (): Provider => {
    if (provider === undefined) throw new Error("the provider does not run");
    return provider;
  };

  const shop: Shop = {
    ordered,
    ended,
    provider: running,
    states: () => [...running().ledger.live()].map(({ state }) => state),
    async start() {
      provider = await startProvider({
        name: NAME,
        coalition: of.coalition,
        operatorSeed: new Secret(operatorSeed),
        operatorKey,
        localSecret: new Secret(seedNamed("local secret")),
        journal: openJournal(join(folder, "journal.db"), toHex(providerId(operatorKey, NAME))),
        backends: [{ backend: scripted(ordered, ended, hangs), priority: 0 }],
        listen: ["/ip4/127.0.0.1/tcp/0"],
        announce: [],
        caps: sampleCaps,
        release: "",
        cardRefreshMs: 30 * SECOND_MS,
        logIntervalMs: HOUR_MS,
        reconcileIntervalMs: HOUR_MS,
        clock: of.clock,
        log,
        join: of.network.join,
      });
      provider.ready.catch(() => {}); // it may be stopped before it is
      return provider;
    },
    async stop() {
      if (provider === undefined) return;
      of.network.kill(provider.network.node.self);
      const stopped = provider.stop();
      provider = undefined;
      await of.clock.run(stopped, 60 * SECOND_MS, "the end of the provider");
    },
    async close() {
      await shop.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return shop;
}

function scripted(ordered: MachineOrder[], ended: string[], hangs: boolean): Backend {
  return backendOf("cloud", {
    capabilities: async () => [offerOf({ pricePerHourMicros: 50_000 })],
    async provision(order, signal) {
      ordered.push(order);
      if (hangs)
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      signal.throwIfAborted();
      return {
        backend: "cloud",
        name: order.name,
        instanceId: "i-1",
        host: "203.0.113.7",
        port: 22,
        user: "root",
        hostKey: seedNamed("host key"),
        tee: "none",
      };
    },
    async terminate({ name }) {
      ended.push(name);
      return "gone";
    },
  });
}
