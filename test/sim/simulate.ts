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
import type { GrantState } from "../../src/ledger/state.ts";
import type { Provider } from "../../src/provider.ts";
import { testCeremony } from "../support/coalition.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { memoryNetwork } from "../support/memory-network.ts";
import { checkAtRest, checkNow, checkStillServing, unanswered } from "./checks.ts";
import type { CloudMachine } from "./cloud.ts";
import { type Faults, unleash } from "./faults.ts";
import { type MemberHost, memberHost } from "./member-host.ts";
import { type Counts, createObserver } from "./observer.ts";
import { type ProviderHost, providerHost } from "./provider-host.ts";
import { diceOf, seedEverything } from "./random.ts";
import { createShopper, type SimRequest } from "./requester.ts";
import type { Sabotage, World } from "./world.ts";

export interface SimOptions {
  readonly seed: number;
  /** 3 with a threshold of 2, or 4 with a threshold of 3, of which one may lie. */
  readonly members?: 3 | 4;
  /** Without faults everything must be served. */
  readonly faults?: boolean;
  /** What is wrong with every member's ballot; or that member 1 lies. */
  readonly sabotage?: Sabotage;
  /** One planned trouble instead of what the seed would do. */
  readonly plan?: Plan;
  /** Keeps the program's own log lines in the trace. */
  readonly verbose?: boolean;
}

export interface Plan {
  readonly requests: number;
  readonly providers: number;
  /** How long the trouble may last. */
  readonly phaseMs: number;
  arm(setting: Setting): Faults;
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
/** A sync interval, so that every member has every record, and the ticks of one attempt. */
const SETTLED_MS = 15 * SECOND_MS;
const CEREMONY_SEED = 0; // the same ceremony for every run; no run has this seed

export async function simulate(options: SimOptions): Promise<SimResult> {
  const setting = buildWorld(options);
  const { observer, members, providers } = setting;
  let rest: Rest = { requests: [], restMs: 0 };
  try {
    rest = await live(setting, options);
  } catch (error) {
    observer.breach(`the run broke off: ${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    for (const host of [...members, ...providers]) if (host.isUp) await host.crash();
    rmSync(setting.folder, { recursive: true, force: true });
    setting.restore();
  }
  const { counts, breaches, trace } = observer;
  return { seed: options.seed, counts, breaches, trace, ...rest };
}

type Rest = Pick<SimResult, "requests" | "restMs">;

async function live(setting: Setting, { faults = true, plan }: SimOptions): Promise<Rest> {
  const { clock, observer, members, providers, network } = setting;
  const phaseMs = plan?.phaseMs ?? PHASE_MS;
  for (const host of [...members, ...providers]) await host.start();
  await clock.until(() => providers.every(isServing), 60 * SECOND_MS, "the providers' start");
  const shopping = startShopping(setting, plan);
  void watchInvariants(setting);
  const trouble = plan?.arm(setting) ?? (faults ? unleash(setting, setting, phaseMs) : undefined);
  await advance(setting, phaseMs);
  await trouble?.heal();
  const restMs = await untilRest(setting, shopping);
  if (observer.breaches.length === 0) checkAtRest(setting, shopping.requests, faults);
  if (observer.breaches.length === 0 && plan === undefined) await checkStillServing(setting);
  for (const bug of network.bugs) observer.breach(`a handler failed: ${String(bug)}`);
  return { requests: shopping.requests, restMs };
}

interface Shopping {
  readonly wanted: number;
  readonly requests: SimRequest[];
}

/** Requests at random times in the first half of the phase. */
function startShopping(setting: Setting, plan: Plan | undefined): Shopping {
  const { clock, dice } = setting;
  const shopper = createShopper(setting, setting.machines);
  const requests: SimRequest[] = [];
  const wanted = plan?.requests ?? dice.between(2, 5);
  const withinMs = plan === undefined ? PHASE_MS / 2 : SECOND_MS;
  for (let n = 1; n <= wanted; n += 1) {
    void clock.sleep(dice.below(withinMs)).then(() => requests.push(shopper.shop(`request ${n}`)));
  }
  return { wanted, requests };
}

/**
 * Until nothing waits, nothing lives, whatever was taken has been answered, and it is still so a while later: members may
 * grant again what they were told was not served. Returns how long that took.
 */
async function untilRest(setting: Setting, shopping: Shopping): Promise<number> {
  const { clock, observer } = setting;
  const healedMs = clock.nowMs();
  let restedMs = 0;
  while (observer.breaches.length === 0 && restedMs < SETTLED_MS) {
    if (clock.nowMs() - healedMs > REST_MS_MAX)
      observer.breach(`no rest: ${whatLasts(setting, shopping)}`);
    await clock.advance(SECOND_MS);
    restedMs = whatLasts(setting, shopping) === "" ? restedMs + SECOND_MS : 0;
  }
  return clock.nowMs() - healedMs;
}

function liveGrants({ ledger }: Provider): GrantState[] {
  return [...ledger.live()];
}

function buildWorld({
  seed,
  members: count = 3,
  sabotage,
  plan,
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
    endMachine: (machine) => {
      for (const { clouds } of setting.providers)
        clouds.find(({ account }) => account === machine.account)?.end(machine, "tenant");
    },
    keepsTime: ({ account }) =>
      setting.providers.some(
        ({ clouds, booksUnsure }) =>
          !booksUnsure && clouds.some((cloud) => cloud.account === account),
      ),
  };
  const setting = {
    ...world,
    machines,
    restore,
    members: ceremony.secrets.map(({ index }) =>
      memberHost(world, index, index === 1 || sabotage !== "byzantine" ? sabotage : undefined),
    ),
    providers: ["provider-a", "provider-b", "provider-c"]
      .slice(0, plan?.providers ?? dice.pick([1, 2, 2, 2, 3]))
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

function whatLasts(setting: Setting, { wanted, requests }: Shopping): string {
  const { providers, machines } = setting;
  const ahead = requests.length < wanted ? ["requests to come"] : [];
  const waiting = requests.filter(({ outcome }) => outcome === undefined).map(({ name }) => name);
  const lasting = providers.flatMap(({ name, provider, ready }) =>
    provider === undefined || !ready
      ? [`${name} is not ready`]
      : liveGrants(provider).map((state) => `${name} ${state.state}`),
  );
  const up = machines()
    .filter(({ state }) => state !== "gone")
    .map(({ host, state }) => `${host} ${state}`);
  const open = unanswered(setting).map((what) => `${what} is not answered`);
  return [...ahead, ...waiting, ...lasting, ...up, ...open].join("; ");
}
