/**
 * What a seed does to the world: power cuts, partitions, a bad network, clocks that jump, disks that fill up, clouds that
 * fail, at random times and at the worst moments (worst-moments.ts).
 */
import { SECOND_MS } from "../../src/base/limits.ts";
import { CALM } from "./cloud.ts";
import type { MemberHost } from "./member-host.ts";
import type { ProviderHost } from "./provider-host.ts";
import type { Host, World } from "./world.ts";
import { armWorstMoments } from "./worst-moments.ts";

export interface Parties {
  readonly members: readonly MemberHost[];
  readonly providers: readonly ProviderHost[];
}

export interface Faults {
  /** Ends every fault and starts whoever is down. */
  heal(): Promise<void>;
}

/** Below this a restarted provider might meet a call of its predecessor that has not arrived yet. */
const DOWN_MS_MIN = 2 * SECOND_MS;

export function unleash(world: World, { members, providers }: Parties, phaseMs: number): Faults {
  const { clock, dice, network, observer } = world;
  const hosts: readonly Host[] = [...members, ...providers];
  const busy = new Set<Host>();
  let over = false;

  const faults: readonly (() => Promise<void>)[] = [
    () => killProvider(dice.pick(providers)),
    () => killMember(dice.pick(members)),
    () => part(dice.between(1, 60) * SECOND_MS),
    badNetwork,
    badCloud,
    silentCloud,
    moveClock,
    fillDisk,
    silence,
  ];
  const count = dice.between(2, 10);
  for (let n = 0; n < count; n += 1) void later(dice.below(phaseMs), dice.pick(faults));
  armWorstMoments(
    world,
    { members, providers },
    { part, killMember, killProvider, isOver: () => over },
  );
  if (dice.chance(0.3)) void later(0, silence);
  return { heal };

  async function later(delayMs: number, fault: () => Promise<void>): Promise<void> {
    await clock.sleep(delayMs);
    if (over) return;
    observer.counts.faults += 1;
    await fault();
  }

  async function heal(): Promise<void> {
    over = true;
    observer.note("healed");
    observer.onGrant = () => {};
    observer.onVote = () => {};
    observer.onShare = () => {};
    network.heal();
    network.rule = undefined;
    Object.assign(network.faults, { delayMs: [1, 20], loss: 0, duplication: 0 });
    for (const provider of providers) {
      provider.diskFull = false;
      provider.onChange = () => {};
      for (const cloud of provider.clouds) cloud.faults = { ...CALM };
    }
    for (const host of hosts) {
      if (host.process !== undefined) host.process.skewMs = 0;
      if (!host.isUp && !busy.has(host)) await start(host);
    }
  }

  async function start(host: Host): Promise<void> {
    observer.note(`${host.name} starts`);
    await host.start();
  }

  async function powerCut(host: Host, downMs: number, meanwhile = (): void => {}): Promise<void> {
    if (!host.isUp || busy.has(host)) return;
    busy.add(host);
    observer.counts.crashes += 1;
    observer.note(`${host.name} dies`);
    await host.crash();
    meanwhile();
    await clock.sleep(downMs);
    await start(host);
    busy.delete(host);
  }

  async function killProvider(host: ProviderHost): Promise<void> {
    const forgets = dice.chance(0.4);
    await powerCut(host, dice.between(DOWN_MS_MIN, 20 * SECOND_MS), () => {
      if (!forgets) return;
      observer.note(`${host.name} has lost its journal`);
      host.loseJournal();
    });
  }

  async function killMember(
    host: MemberHost,
    forgets = dice.chance(0.3),
    downMs = 20 * SECOND_MS,
  ): Promise<void> {
    await powerCut(host, dice.between(500, downMs), () => {
      if (forgets) host.loseRecords(clock.nowMs() - dice.between(1, 10) * SECOND_MS);
    });
  }

  /** Some nodes on the other side; requesters, who are not named, stay with the rest. */
  async function part(lastsMs: number, apart: readonly Host[] = dice.some(hosts)): Promise<void> {
    const peers = apart.flatMap(({ peer }) => (peer === undefined ? [] : [peer]));
    observer.counts.partitions += 1;
    observer.note(`partition: ${apart.map(({ name }) => name).join(", ")}`);
    network.partition(peers);
    await clock.sleep(lastsMs);
    if (!over) network.heal();
  }

  /** Gossip is a hint: sync alone must do. */
  async function silence(): Promise<void> {
    observer.note("no gossip arrives");
    network.rule = ({ channel }) => (channel === "gossip" ? "lose" : undefined);
    await clock.sleep(dice.between(20, 60) * SECOND_MS);
    network.rule = undefined;
  }

  async function badNetwork(): Promise<void> {
    const most = dice.between(20, 2000);
    const bad = {
      delayMs: [1, most] as const,
      loss: dice.below(30) / 100,
      duplication: dice.below(40) / 100,
    };
    observer.note(`network: up to ${most} ms, loss ${bad.loss}, duplication ${bad.duplication}`);
    Object.assign(network.faults, bad);
    await clock.sleep(dice.between(5, 40) * SECOND_MS);
    if (!over) Object.assign(network.faults, { delayMs: [1, 20], loss: 0, duplication: 0 });
  }

  async function badCloud(): Promise<void> {
    const host = dice.pick(providers);
    const cloud = dice.pick(host.clouds);
    const share = (): number => (dice.chance(0.5) ? dice.below(50) / 100 : 0);
    cloud.faults = {
      capacity: share(),
      throttle: share(),
      requestLost: share() / 2,
      responseLost: share() / 2,
      listPartial: share(),
      death: share(),
      outage: dice.chance(0.2),
    };
    observer.note(`${cloud.account}: ${JSON.stringify(cloud.faults)}`);
    await clock.sleep(dice.between(5, 60) * SECOND_MS);
    if (!over) cloud.faults = { ...CALM };
  }

  async function moveClock(): Promise<void> {
    const host: MemberHost | ProviderHost = dice.pick([...members, ...providers]);
    if ("clouds" in host) host.booksUnsure = true;
    const farMs = "clouds" in host ? 3600 * SECOND_MS : 10 * SECOND_MS;
    const skewMs = dice.between(-farMs, dice.chance(0.8) ? 5 * SECOND_MS : farMs);
    observer.note(`${host.name}'s clock is off by ${skewMs} ms`);
    if (host.process !== undefined) host.process.skewMs = skewMs;
    await clock.sleep(dice.between(5, 60) * SECOND_MS);
    if (host.process !== undefined) host.process.skewMs = 0;
  }

  async function fillDisk(): Promise<void> {
    const host = dice.pick(providers);
    observer.note(`${host.name}'s disk is full`);
    host.diskFull = true;
    await clock.sleep(dice.between(1, 30) * SECOND_MS);
    host.diskFull = false;
  }

  async function silentCloud(): Promise<void> {
    const cloud = dice.pick(dice.pick(providers).clouds);
    observer.note(`${cloud.account} is out`);
    cloud.faults = { ...CALM, outage: true };
    await clock.sleep(dice.between(5, 60) * SECOND_MS);
    if (!over) cloud.faults = { ...CALM };
  }
}
