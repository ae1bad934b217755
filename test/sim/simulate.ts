/**
 * One run: a committee, some providers with their clouds, some requests, and what the seed does to them; then everything
 * heals, and the world must come to rest. Two runs of one seed are the same, event for event.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "../../src/base/bytes.ts";
import { SECOND_MS } from "../../src/base/limits.ts";
import { createLogger, type Logger, silentLogger } from "../../src/base/log.ts";
import { testCeremony } from "../support/coalition.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { memoryNetwork } from "../support/memory-network.ts";
import { checkAtRest, checkNow } from "./checks.ts";
import type { CloudMachine } from "./cloud.ts";
import { type Faults, unleash } from "./faults.ts";
import {
  type MemberHost,
  memberHost,
  type ProviderHost,
  providerHost,
  type Sabotage,
  type World,
} from "./hosts.ts";
import { type Counts, createObserver } from "./observer.ts";
import { diceOf, seedEverything } from "./random.ts";
import { createShopper, type SimRequest } from "./requester.ts";

export interface SimOptions {
  readonly seed: number;
  /** 3 with a threshold of 2, or 4 with a threshold of 3, of which one may lie. */
  readonly members?: 3 | 4;
  /** Without faults everything must be served. */
  readonly faults?: boolean;
  /** Every member's ballot is broken; or member 1 lies. */
  readonly sabotage?: Sabotage;
  /** Keeps the program's own log lines in the trace. */
  readonly verbose?: boolean;
}

export interface SimResult {
  readonly seed: number;
  readonly counts: Readonly<Counts>;
  readonly breaches: readonly string[];
  readonly trace: readonly string[];
  readonly requests: readonly SimRequest[];
  /** Virtual milliseconds from healing to rest. */
  readonly restMs: number;
}

export interface Setting extends World {
  readonly members: readonly MemberHost[];
  readonly providers: readonly ProviderHost[];
  readonly machines: () => readonly CloudMachine[];
}

const TICK_MS = 2 * SECOND_MS;
const PHASE_MS = 90 * SECOND_MS;
/** Patience, a grant's life, an orphan's age and sightings, and every retry at its longest, one after the other. */
const REST_MS_MAX = 420 * SECOND_MS;
const CEREMONY_SEED = 1; // one ceremony for all runs of a process, and the same one in every process

export async function simulate(options: SimOptions): Promise<SimResult> {
  const { seed, faults = true } = options;
  const setting = buildWorld(options);
  const { clock, dice, observer, members, providers, network } = setting;
  try {
    for (const host of [...members, ...providers]) await host.start();
    await clock.until(
      () => providers.every(isServing),
      60 * SECOND_MS,
      "the start of the providers",
    );
    const shopper = createShopper(setting, setting.machines);
    const requests: SimRequest[] = [];
    const wanted = dice.between(2, 5);
    for (let n = 1; n <= wanted; n += 1) {
      void clock
        .sleep(dice.below(PHASE_MS / 2))
        .then(() => requests.push(shopper.shop(`request ${n}`)));
    }
    void watchInvariants(setting);
    const unleashed: Faults | undefined = faults ? unleash(setting, setting, PHASE_MS) : undefined;
    await advance(setting, PHASE_MS);
    await unleashed?.heal();
    const healedMs = clock.nowMs();
    const atRest = (): boolean =>
      requests.length === wanted &&
      requests.every(({ outcome }) => outcome !== undefined) &&
      providers.every(
        ({ provider }) => provider !== undefined && [...provider.ledger.live()].length === 0,
      ) &&
      setting.machines().every(({ state }) => state === "gone");
    while (observer.breaches.length === 0 && !atRest()) {
      if (clock.nowMs() - healedMs > REST_MS_MAX)
        observer.breach(`no rest: ${whatLasts(setting, requests)}`);
      else await clock.advance(SECOND_MS);
    }
    const restMs = clock.nowMs() - healedMs;
    if (observer.breaches.length === 0) await checkAtRest(setting, requests, faults);
    for (const bug of network.bugs) observer.breach(`a handler failed: ${String(bug)}`);
    const { counts, breaches, trace } = observer;
    return { seed, counts, breaches, trace, requests, restMs };
  } finally {
    for (const host of [...members, ...providers])
      if (host.process !== undefined && !host.process.ended) await host.crash();
    rmSync(setting.folder, { recursive: true, force: true });
    setting.restore();
  }
}

function buildWorld({
  seed,
  members: count = 3,
  sabotage,
  verbose = false,
}: SimOptions): Setting & { restore(): void } {
  const unseed = seedEverything(CEREMONY_SEED);
  const ceremony = testCeremony({ members: count, threshold: count - 1, tickMs: TICK_MS });
  unseed();
  const restore = seedEverything(seed);
  const clock = fakeClock();
  const dice = diceOf(seed);
  const network = memoryNetwork(clock, seed);
  Object.assign(network.faults, { delayMs: [1, 20] });
  const machines = (): CloudMachine[] =>
    setting.providers.flatMap(({ clouds }) => clouds.flatMap((cloud) => cloud.machines));
  const observer = createObserver(clock.nowMs, (grant) =>
    machines().filter(({ order }) => order.tags.grantId === grant),
  );
  const ram = "/dev/shm"; // fsync costs nothing there, and a simulated power cut loses nothing either
  const folder = mkdtempSync(join(existsSync(ram) ? ram : tmpdir(), "compute-bridge-sim-"));
  const world: World = {
    clock,
    dice,
    network,
    ceremony,
    observer,
    folder,
    log: verbose ? traceLogger(observer.note, clock.nowMs) : silentLogger,
    endMachine: (machine) =>
      setting.providers
        .flatMap(({ clouds }) => clouds)
        .find(({ account }) => account === machine.account)
        ?.end(machine, "tenant"),
  };
  const setting = {
    ...world,
    machines,
    restore,
    members: ceremony.secrets.map(({ index }) =>
      memberHost(world, index, index === 1 || sabotage !== "byzantine" ? sabotage : undefined),
    ),
    providers: ["provider-a", "provider-b", "provider-c"]
      .slice(0, dice.pick([1, 2, 2, 2, 3]))
      .map((name) => providerHost(world, name, { clouds: dice.between(1, 2), grantsMax: 4 })),
  };
  return setting;
}

function traceLogger(note: (what: string) => void, nowMs: () => number): Logger {
  return createLogger({
    level: "debug",
    format: "text",
    nowMs,
    write: (line) => note(`    ${line.slice(13)}`),
  });
}

function isServing({ provider }: ProviderHost): boolean {
  const card = provider?.context.records.cards.get(toHex(provider.context.providerId));
  return card !== undefined && card.body.offers.length > 0;
}

/** Stops early when something has gone wrong. */
async function advance({ clock, observer }: Setting, ms: number): Promise<void> {
  const untilMs = clock.nowMs() + ms;
  while (clock.nowMs() < untilMs && observer.breaches.length === 0)
    await clock.advance(SECOND_MS / 2);
}

async function watchInvariants(setting: Setting): Promise<void> {
  for (;;) {
    await setting.clock.sleep(SECOND_MS / 2);
    checkNow(setting);
  }
}

function whatLasts({ providers, machines }: Setting, requests: readonly SimRequest[]): string {
  const waiting = requests.filter(({ outcome }) => outcome === undefined).map(({ name }) => name);
  const live = providers.flatMap(({ name, provider }) =>
    [...(provider?.ledger.live() ?? [])].map((state) => `${name} ${state.state}`),
  );
  const up = machines()
    .filter(({ state }) => state !== "gone")
    .map(({ host, state }) => `${host} ${state}`);
  return [...waiting, ...live, ...up].join("; ");
}
