import { resolve } from "node:path";
import { toHex } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { signingKey } from "../base/ed25519.ts";
import { explain } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { REGION_CLASSES, type RegionClass } from "../coalition/classes.ts";
import { type Coalition, readCoalition } from "../coalition/config.ts";
import { providerId } from "../coalition/ids.ts";
import { loadProviderConfig, readConfigFile } from "../config/load.ts";
import type { ProviderConfig } from "../config/schema.ts";
import { readSeed } from "../config/secrets.ts";
import { checkNoneDropped, openBackends } from "../fleet/configured.ts";
import { type Provider, startProvider } from "../provider.ts";
import { drain } from "../stages/drain.ts";
import { openProviderState, type ProviderState } from "../stages/state-dir.ts";
import type { Command, ExitCode } from "./command.ts";
import { onStopSignal, roleLogger, untilAsked } from "./role.ts";

export const providerCommand: Command = {
  name: "provider",
  summary: "run a provider",
  about:
    "SIGTERM drains: no new grants, the live ones are waited for up to drain.waitMs, then a signed stop marker.\n" +
    "If grants are still live at the bound, the exit code is 1 and there is no marker; a second signal exits at\n" +
    "once. Either way the machines are found again by the next start.",
  options: {
    config: { value: "FILE", help: "the provider's configuration" },
    set: { value: "KEY=VALUE", multiple: true, help: "override one setting" },
  },
  examples: [
    "compute-bridge provider --config provider.toml",
    "compute-bridge provider --config provider.toml --set limits.killSwitch=true",
  ],
  async run(values) {
    const source = readConfigFile(values.required("config"));
    const { config } = loadProviderConfig(source, {
      env: process.env,
      flags: values.list("set"),
      regionClasses: REGION_CLASSES,
    });
    const log = roleLogger(config.log.level);
    const opened = await openProvider(config, log);
    return await serve(opened, config, log);
  },
};

export interface OpenedProvider {
  readonly provider: Provider;
  readonly state: ProviderState;
  readonly coalition: Coalition;
}

/** From a checked configuration to a running provider. */
export async function openProvider(
  config: ProviderConfig<RegionClass>,
  log: Logger,
): Promise<OpenedProvider> {
  const coalition = readCoalition(config.coalition.file, config.coalition.pin);
  const operatorSeed = readSeed(config.operator.key, process.env);
  const operatorKey = signingKey(operatorSeed.reveal()).publicKey;
  const id = toHex(providerId(operatorKey, config.provider.name));
  const state = openProviderState(config.provider.stateDir, id);
  const backends = await openBackends(config.backends, {
    providerId: id,
    machinesDir: state.machinesDir,
    machineCommand: machineCommand(),
    clock: systemClock,
    log,
  });
  checkNoneDropped(state.journal.live(), backends);
  const { limits } = config;
  const provider = await startProvider({
    name: config.provider.name,
    coalition,
    operatorSeed,
    operatorKey,
    localSecret: state.localSecret,
    journal: state.journal,
    backends,
    listen: config.network.listen,
    announce: config.network.announce,
    caps: {
      grantsMax: limits.grantsMax,
      spendPerDayMicros: limits.spendPerDayMicros,
      spendPerGrantMicros: limits.spendPerGrantMicros,
      durationMaxMs: limits.durationMaxMs,
      remainingLifeMinMs: limits.remainingLifeMinMs,
      killSwitch: limits.killSwitch,
    },
    release: config.card.release,
    cardRefreshMs: config.card.refreshMs,
    logIntervalMs: config.log.intervalMs,
    reconcileIntervalMs: config.reconcile.intervalMs,
    clock: systemClock,
    log,
  });
  return { provider, state, coalition };
}

/** Runs until a signal or the operator drains it, or a newer instance of the same provider takes over. */
async function serve(
  { provider }: OpenedProvider,
  config: ProviderConfig<RegionClass>,
  log: Logger,
): Promise<ExitCode> {
  const stop = untilAsked();
  onStopSignal(log, stop.ask);
  const ended = await Promise.race([
    stop.asked.then(() => "asked" as const),
    provider.standing.fenced.then(() => "fenced" as const),
    provider.ready.then(
      () => new Promise<never>(() => {}),
      (error: unknown) => {
        process.stderr.write(`compute-bridge: ${explain(error)}\n`);
        return "failed" as const;
      },
    ),
  ]);
  let code: ExitCode = 1;
  if (ended === "asked") code = await drainAndReport(provider, config, log);
  if (ended === "fenced")
    log.error("fenced", { error: "a newer instance of this provider runs elsewhere" });
  await provider.stop();
  return code;
}

async function drainAndReport(
  provider: Provider,
  config: ProviderConfig<RegionClass>,
  log: Logger,
): Promise<ExitCode> {
  const result = await drain(
    { ...provider, clock: systemClock },
    {
      reason: "stop",
      waitMs: config.drain.waitMs,
      terminate: false,
      onWaiting: (live) => log.debug("draining", { live }),
    },
    new AbortController().signal,
  );
  if (result === "drained") return 0;
  log.error("grants-left-running", { fix: "start again to adopt them, or drain with --terminate" });
  return 1;
}

/** How this very program is started again as a machine. */
export function machineCommand(): readonly string[] {
  const script = process.argv[1] ?? "";
  const compiled = script.startsWith("/$bunfs/");
  return compiled
    ? [process.execPath, "__machine"]
    : [process.execPath, resolve(script), "__machine"];
}
