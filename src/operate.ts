/**
 * Operating a provider: from a checked configuration to one that runs, shows itself to its operator on loopback, and
 * stops the way it is asked to. provider.ts is what it does; this is how it is opened, watched and closed.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { listenAdmin } from "./admin/listener.ts";
import { createObserver } from "./admin/observer.ts";
import { adminSource } from "./admin/provider-source.ts";
import { type Admin, startAdmin } from "./admin/server.ts";
import { toHex } from "./base/bytes.ts";
import { systemClock } from "./base/clock.ts";
import { signingKey } from "./base/ed25519.ts";
import type { Logger } from "./base/log.ts";
import type { RegionClass } from "./coalition/classes.ts";
import { type Coalition, readCoalition } from "./coalition/config.ts";
import { providerId } from "./coalition/ids.ts";
import type { ProviderConfig } from "./config/schema.ts";
import { readSeed } from "./config/secrets.ts";
import { checkNoneDropped, openBackends } from "./fleet/configured.ts";
import type { Caps } from "./ledger/inbox.ts";
import { type Provider, startProvider } from "./provider.ts";
import { ADMIN_URL_FILE, forgetDrain, openProviderState, recordDrain } from "./stages/state-dir.ts";
import { createStopper, type Stopper } from "./stages/stopper.ts";

export interface OperatedProvider {
  readonly provider: Provider;
  readonly admin: Admin;
  readonly coalition: Coalition;
  readonly stopper: Stopper;
  /** Closes everything; machines go on. */
  close(): Promise<void>;
}

export async function operateProvider(
  config: ProviderConfig<RegionClass>,
  env: { readonly [name: string]: string | undefined },
  log: Logger,
): Promise<OperatedProvider> {
  const clock = systemClock;
  const { stateDir, name } = config.provider;
  const coalition = readCoalition(config.coalition.file, config.coalition.pin);
  const operatorSeed = readSeed(config.operator.key, env);
  const operatorKey = signingKey(operatorSeed.reveal()).publicKey;
  const id = toHex(providerId(operatorKey, name));
  const state = openProviderState(stateDir, id);
  forgetDrain(stateDir);
  const listener = listenAdmin(config.admin.port);
  const backends = await openBackends(config.backends, {
    providerId: id,
    machinesDir: state.machinesDir,
    machineCommand: machineCommand(),
    clock,
    log,
  });
  checkNoneDropped(state.journal.live(), backends);
  const observer = createObserver({
    backends: backends.map(({ backend }) => backend.name),
    currency: coalition.file.currency,
    clock,
  });
  const caps: Caps = config.limits;
  const provider = await startProvider({
    name,
    coalition,
    operatorSeed,
    operatorKey,
    localSecret: state.localSecret,
    journal: observer.journal(state.journal),
    backends: observer.configured(backends),
    watchFleet: observer.fleet,
    listen: config.network.listen,
    announce: config.network.announce,
    caps,
    release: config.card.release,
    cardRefreshMs: config.card.refreshMs,
    logIntervalMs: config.log.intervalMs,
    reconcileIntervalMs: config.reconcile.intervalMs,
    clock,
    log,
  });
  const stopper = createStopper({ ...provider, clock, log }, config.drain.waitMs);
  const admin = startAdmin({
    source: adminSource({ provider, name, caps, observer, controls: stopper }),
    meters: observer.meters,
    listener,
    token: state.adminToken,
    clock,
    log,
  });
  const urlFile = join(stateDir, ADMIN_URL_FILE);
  writeFileSync(urlFile, `${admin.url}\n`, { mode: 0o600 });
  log.info("admin", { url: admin.url });
  void stopper.done.then(({ result }) => ifWritable(log, () => recordDrain(stateDir, result)));
  return {
    provider,
    admin,
    coalition,
    stopper,
    async close() {
      ifWritable(log, () => rmSync(urlFile, { force: true }));
      await admin.stop();
      await provider.stop();
    },
  };
}

/** Notes for other commands of this host: a disk that fails must not keep the provider from an orderly end. */
function ifWritable(log: Logger, write: () => void): void {
  try {
    write();
  } catch (error) {
    log.warn("note-not-written", { error });
  }
}

/** How this very program is started again as a machine of the local backend. */
function machineCommand(): readonly string[] {
  const script = process.argv[1] ?? "";
  const compiled = script.startsWith("/$bunfs/");
  return compiled
    ? [process.execPath, "__machine"]
    : [process.execPath, resolve(script), "__machine"];
}
