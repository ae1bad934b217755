/**
 * What can be known about a configuration without the network, beyond its schema: the lines of `config check`, in
 * the order of the file. Online checks (credentials, quotas, peers) belong to the areas that hold the connections.
 */
import { networkInterfaces } from "node:os";
import { checkCoalition, checkSecret, checkStateDir, lineOf } from "./check-files.ts";
import { checkBackends, checkLimits } from "./check-spend.ts";
import type { Loaded } from "./load.ts";
import { ConfigError } from "./problem.ts";
import { checkReachability } from "./reachability.ts";
import type { MemberConfig, ProviderConfig } from "./schema.ts";
import type { Environment } from "./secrets.ts";

export interface CheckLine {
  /** `fail` keeps the program from working, `warn` from working as its operator may think. */
  readonly status: "ok" | "warn" | "fail";
  /** As written in the file, `limits.spendPerGrant`. */
  readonly path: string;
  readonly message: string;
  readonly fix?: string;
}

export interface CheckOptions {
  readonly env: Environment;
  /** Reads the coalition file as the program would and throws a BridgeError for what is wrong with it. */
  readonly readCoalition: (path: string, pin?: string) => unknown;
  /** IP addresses of this host; those of its interfaces by default. */
  readonly hostIps?: readonly string[];
}

export function checkProvider(
  load: () => Loaded<ProviderConfig>,
  options: CheckOptions,
): readonly CheckLine[] {
  return check(load, ({ config }) => [
    checkStateDir("provider.stateDir", config.provider.stateDir),
    checkSecret("operator.key", config.operator.key, "seed", options.env),
    ...checkCoalition(config.coalition.file, config.coalition.pin, options.readCoalition),
    ...checkNetwork(config.network, options),
    ...checkLimits(config.limits),
    ...checkBackends(config),
  ]);
}

export function checkMember(
  load: () => Loaded<MemberConfig>,
  options: CheckOptions,
): readonly CheckLine[] {
  return check(load, ({ config }) => [
    checkStateDir("member.stateDir", config.member.stateDir),
    checkSecret("member.key", config.member.key, "seed", options.env),
    checkSecret("member.grantShare", config.member.grantShare, "share", options.env),
    checkSecret("member.unsealShare", config.member.unsealShare, "share", options.env),
    ...checkCoalition(config.coalition.file, config.coalition.pin, options.readCoalition),
    ...checkNetwork(config.network, options),
  ]);
}

/** A configuration that does not load gives one `fail` for each of its problems and nothing else. */
function check<T>(
  load: () => Loaded<T>,
  lines: (loaded: Loaded<T>) => readonly CheckLine[],
): readonly CheckLine[] {
  let loaded: Loaded<T>;
  try {
    loaded = load();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(lineOf);
    throw error;
  }
  const message = `${loaded.file} has ${loaded.settings.length} valid settings`;
  return [{ status: "ok", path: "", message }, ...lines(loaded)];
}

function checkNetwork(network: ProviderConfig["network"], options: CheckOptions): CheckLine[] {
  const { listen, announce } = network;
  const message = `listens on ${listen.join(", ")}`;
  return [
    { status: "ok", path: "network.listen", message },
    checkReachability(listen, announce, options.hostIps ?? interfaceIps()),
  ];
}

function interfaceIps(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((found) =>
    (found ?? []).map(({ address }) => address),
  );
}
