/**
 * What can be known about a configuration without the network, beyond its schema: the lines of `config check`, in
 * the order of the file. Online checks (credentials, quotas, peers) belong to the areas that hold the connections.
 */
import { networkInterfaces } from "node:os";
import { BridgeError } from "../base/errors.ts";
import type { Secret } from "../base/secret.ts";
import { checkCoalition, checked, checkSecret, checkStateDir, lineOf } from "./check-files.ts";
import { checkBackends, checkLimits } from "./check-spend.ts";
import type { Loaded } from "./load.ts";
import { ConfigError } from "./problem.ts";
import { checkReachability } from "./reachability.ts";
import type { MemberConfig, ProviderConfig } from "./schema.ts";
import { type Environment, readSeed } from "./secrets.ts";

export interface CheckLine {
  /** `fail` keeps the program from working, `warn` from working as its operator may think. */
  readonly status: "ok" | "warn" | "fail";
  /** As written in the file, `limits.spendPerGrant`. */
  readonly path: string;
  readonly message: string;
  readonly fix?: string;
}

export interface CheckOptions<C = unknown> {
  readonly env: Environment;
  /** Reads the coalition file as the program would and throws a BridgeError for what is wrong with it. */
  readonly readCoalition: (path: string, pin?: string) => C;
  /** IP addresses of this host; those of its interfaces by default. */
  readonly hostIps?: readonly string[];
}

export interface MemberSecrets {
  /** From 1. */
  readonly index: number;
  readonly seed: Secret;
  readonly grantShare: Secret;
  readonly unsealShare: Secret;
}

export interface MemberCheckOptions<C> extends CheckOptions<C> {
  /** What the program asks of a member's secrets before it starts; each throws a BridgeError. */
  readonly memberChecks: Readonly<
    Record<"key" | "grantShare" | "unsealShare", (coalition: C, secrets: MemberSecrets) => void>
  >;
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

export function checkMember<C>(
  load: () => Loaded<MemberConfig>,
  options: MemberCheckOptions<C>,
): readonly CheckLine[] {
  return check(load, ({ config }) => [
    checkStateDir("member.stateDir", config.member.stateDir),
    checkSecret("member.key", config.member.key, "seed", options.env),
    checkSecret("member.grantShare", config.member.grantShare, "share", options.env),
    checkSecret("member.unsealShare", config.member.unsealShare, "share", options.env),
    ...checkCoalition(config.coalition.file, config.coalition.pin, options.readCoalition),
    ...checkMembership(config, options),
    ...checkNetwork(config.network, options),
  ]);
}

/** Whether the secrets are this member's. Nothing when one of them, or the coalition, cannot be read. */
function checkMembership<C>(
  { member, coalition: { file, pin } }: MemberConfig,
  { env, readCoalition, memberChecks }: MemberCheckOptions<C>,
): CheckLine[] {
  const { index } = member;
  let coalition: C;
  let secrets: MemberSecrets;
  try {
    coalition = readCoalition(file, pin);
    secrets = {
      index,
      seed: readSeed(member.key, env),
      grantShare: readSeed(member.grantShare, env),
      unsealShare: readSeed(member.unsealShare, env),
    };
  } catch (error) {
    if (error instanceof BridgeError) return []; // it has a line of its own
    throw error;
  }
  const lines = (["key", "grantShare", "unsealShare"] as const).map((name) =>
    checked(`member.${name}`, `is that of member ${index}`, () =>
      memberChecks[name](coalition, secrets),
    ),
  );
  for (const secret of [secrets.seed, secrets.grantShare, secrets.unsealShare]) secret.erase();
  return lines;
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
