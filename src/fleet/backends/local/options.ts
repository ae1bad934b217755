/** What the local backend is told. */
import type { Clock } from "../../../base/clock.ts";
import type { Logger } from "../../../base/log.ts";
import type { RegionClass, Shape } from "../../../coalition/classes.ts";
import type { PortRange } from "./schemas.ts";

export interface LocalOptions {
  /** As in the configuration; only machines of this name and provider are ours. */
  readonly name: string;
  /** One folder per machine is made here; several backends and providers may share it. */
  readonly stateDir: string;
  /** Also the `providerId` tag of our orders. */
  readonly providerId: string;
  readonly region: string;
  readonly regionClass: RegionClass;
  readonly machinesMax: number;
  /** What each machine is said to have. */
  readonly shape: Shape;
  readonly pricePerHourMicros: number;
  /** Ports the machines may listen on, both ends included; without it the system chooses. */
  readonly portRange?: PortRange;
  /**
   * What starts the machine program, its first word absolute (our own PATH does not count); the machine's folder is
   * added as the last argument.
   */
  readonly command: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}
