/** A real provider on a simulated host: its journal on a disk, its backends in simulated clouds. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { must } from "../../src/base/assert.ts";
import { toHex } from "../../src/base/bytes.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { HOUR_MS, SECOND_MS } from "../../src/base/limits.ts";
import { Secret } from "../../src/base/secret.ts";
import { providerId } from "../../src/coalition/ids.ts";
import { type Journal, openJournal } from "../../src/ledger/journal.ts";
import type { GrantChange } from "../../src/ledger/ledger.ts";
import { type Provider, startProvider } from "../../src/provider.ts";
import { keyNamed, seedNamed } from "../support/coalition.ts";
import { type Cloud, openCloud } from "./cloud.ts";
import { cloudBackend } from "./cloud-backend.ts";
import { type ProcessClock, processClock } from "./process-clock.ts";
import { type Host, SKEW_MS_MAX, type World } from "./world.ts";

export interface ProviderHost extends Host {
  readonly provider: Provider | undefined;
  /** It has reached the coalition since its last start. */
  readonly ready: boolean;
  readonly clouds: readonly Cloud[];
  /** The journal throws on every write while this is set. */
  diskFull: boolean;
  /** Its wall clock was moved or its journal lost: it can only estimate what its machines have cost. */
  booksUnsure: boolean;
  loseJournal(): void;
  /** Called after each change of a grant is on disk. */
  onChange: (change: GrantChange) => void;
}

export interface ProviderHostOptions {
  readonly clouds: number;
  readonly grantsMax: number;
}

export function providerHost(
  world: World,
  name: string,
  { clouds: cloudCount, grantsMax }: ProviderHostOptions,
): ProviderHost {
  const { ceremony, network, observer } = world;
  const { coalition } = ceremony;
  const operatorSeed = seedNamed("operator");
  const operatorKey = keyNamed("operator").publicKey;
  const owner = toHex(providerId(operatorKey, name));
  const path = join(world.folder, `${name}.db`);
  const clouds = Array.from({ length: cloudCount }, (_, i) =>
    openCloud(`${name}-cloud-${i}`, world.clock, world.dice, (machine) =>
      observer.created(machine),
    ),
  );
  let provider: Provider | undefined;
  let ready = false;
  let process: ProcessClock | undefined;
  let journal: Journal | undefined;
  let localSecret = new Secret(seedNamed(`${name} local`));

  const host: ProviderHost = {
    name,
    clouds,
    diskFull: false,
    booksUnsure: false,
    onChange: () => {},
    get provider() {
      return provider;
    },
    get ready() {
      return ready;
    },
    get process() {
      return process;
    },
    get isUp() {
      return provider !== undefined;
    },
    get peer() {
      return provider?.network.node.self;
    },
    async start() {
      const clock = processClock(world.clock, world.dice.between(-SKEW_MS_MAX, SKEW_MS_MAX));
      process = clock;
      journal = openJournal(path, owner);
      const wire = { world: world.clock, process: clock, dice: world.dice };
      provider = await startProvider({
        name,
        coalition,
        operatorSeed: new Secret(operatorSeed),
        operatorKey,
        localSecret,
        journal: failing(journal, () => host.diskFull),
        backends: clouds.map((cloud, priority) => ({
          backend: cloudBackend({ cloud, ...wire }),
          priority,
        })),
        listen: ["/ip4/127.0.0.1/tcp/0"],
        announce: [],
        caps: {
          grantsMax,
          spendPerDayMicros: 1e12,
          spendPerGrantMicros: 1e11,
          durationMaxMs: HOUR_MS,
          remainingLifeMinMs: 10 * SECOND_MS,
          killSwitch: false,
        },
        release: "",
        cardRefreshMs: 20 * SECOND_MS,
        logIntervalMs: 20 * SECOND_MS,
        reconcileIntervalMs: 15 * SECOND_MS,
        clock,
        log: world.log.with({ host: name }),
        join: network.join,
      });
      observer.follow(provider.context.records);
      const started = provider;
      void started.ready.then(
        () => {
          ready = started === provider;
        },
        (error: unknown) => observer.breach(`${name} does not start: ${String(error)}`),
      );
      provider.ledger.onChange((change) => host.onChange(change));
    },
    async crash() {
      const dead = must(provider, "a provider that runs");
      process?.end();
      journal?.close();
      network.kill(dead.network.node.self);
      provider = undefined;
      ready = false;
    },
    loseJournal() {
      host.booksUnsure = true;
      for (const suffix of ["", "-wal", "-shm"])
        if (existsSync(path + suffix)) rmSync(path + suffix);
      localSecret = new Secret(seedNamed(`${name} local ${world.dice.below(1e9)}`)); // kept beside it
    },
  };
  return host;
}

function failing(journal: Journal, isBroken: () => boolean): Journal {
  const check = (): void => {
    if (isBroken()) throw new BridgeError("journal-unwritable", "the disk is full");
  };
  return {
    ...journal,
    commit(changes, totals, atMs) {
      check();
      journal.commit(changes, totals, atMs);
    },
    setMeta(name, value) {
      check();
      journal.setMeta(name, value);
    },
  };
}
