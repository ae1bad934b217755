/**
 * What a simulated process stands on: the world's clock, network and dice, a disk that outlives it, and a power switch. A
 * crash cuts the power: no goodbye, no last write.
 */
import { SECOND_MS } from "../../src/base/limits.ts";
import type { Logger } from "../../src/base/log.ts";
import type { Ceremony } from "../../src/coalition/ceremony.ts";
import type { PeerKey } from "../../src/network/transport.ts";
import type { FakeClock } from "../support/fake-clock.ts";
import type { MemoryNetwork } from "../support/memory-network.ts";
import type { CloudMachine } from "./cloud.ts";
import type { Observer } from "./observer.ts";
import type { ProcessClock } from "./process-clock.ts";
import type { Dice } from "./random.ts";

/**
 * What is wrong with a member: a power cut takes its votes, it keeps no release (there is no lock then), or it lies.
 * `undefined` for an honest one.
 */
export type Sabotage = "forgets-votes" | "forgets-releases" | "byzantine";

export interface World {
  readonly clock: FakeClock;
  readonly dice: Dice;
  readonly network: MemoryNetwork;
  readonly ceremony: Ceremony;
  readonly observer: Observer;
  readonly folder: string;
  readonly log: Logger;
  endMachine(machine: CloudMachine): void;
  /** False once somebody has moved the clock of the provider that asked for this machine. */
  keepsTime(machine: CloudMachine): boolean;
}

/** How far a host's clock may be off without anybody having moved it. */
export const SKEW_MS_MAX = 2 * SECOND_MS;

/** A place where one process runs at a time. */
export interface Host {
  readonly name: string;
  /** The process's peer key, while one runs. */
  readonly peer: PeerKey | undefined;
  readonly process: ProcessClock | undefined;
  readonly isUp: boolean;
  start(): Promise<void>;
  crash(): Promise<void>;
}
