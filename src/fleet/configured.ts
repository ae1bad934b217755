/** Opens the configured backends. What only development has is loaded behind the define, so production leaves it out. */
import type { Clock } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { RegionClass } from "../coalition/classes.ts";
import type { BackendConfig } from "../config/schema.ts";
import type { GrantState } from "../ledger/state.ts";
import type { ConfiguredBackend } from "./fleet.ts";

declare const CB_DEV: boolean | undefined;

export interface OpenBackendsOptions {
  readonly providerId: string;
  /** Where machines of the local backend keep their files. */
  readonly machinesDir: string;
  /** What starts the local backend's machine program. */
  readonly machineCommand: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

export async function openBackends(
  configs: readonly BackendConfig<RegionClass>[],
  options: OpenBackendsOptions,
): Promise<ConfiguredBackend[]> {
  const opened: ConfiguredBackend[] = [];
  for (const config of configs) {
    const { name, priority } = config;
    if (typeof CB_DEV === "undefined" || CB_DEV) {
      const { localBackend } = await import("./backends/local/backend.ts");
      const {
        region,
        regionClass,
        machinesMax,
        cpuMillicores,
        ramMib,
        storageGib,
        pricePerHourMicros,
        portRange,
      } = config;
      const backend = localBackend({
        name,
        stateDir: options.machinesDir,
        providerId: options.providerId,
        region,
        regionClass,
        machinesMax,
        shape: { cpuMillicores, ramMib, storageGib },
        pricePerHourMicros,
        ...(portRange === undefined
          ? {}
          : { portRange: { first: portRange[0], last: portRange[1] } }),
        command: options.machineCommand,
        clock: options.clock,
        log: options.log,
      });
      opened.push({ backend, priority });
    } else {
      throw new BridgeError(
        "development-only",
        `backend ${name}: kind local is in the development build only`,
        {
          fix: "remove it, or run compute-bridge-dev",
        },
      );
    }
  }
  return opened;
}

/** A backend that still has machines must stay configured: without it nobody could end them. */
export function checkNoneDropped(
  live: Iterable<GrantState>,
  configured: readonly ConfiguredBackend[],
): void {
  const names = new Set(configured.map(({ backend }) => backend.name));
  for (const state of live) {
    if (!("placements" in state)) continue;
    const name = state.placements[state.try]?.backend;
    if (name === undefined || names.has(name)) continue;
    throw new BridgeError(
      "live-machines",
      `backend ${name} has a live machine and is no longer configured`,
      {
        fix: `put [backends.${name}] back until its machines have ended`,
      },
    );
  }
}
