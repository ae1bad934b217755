/**
 * A whole committee on one in-memory network and one test clock: real members (src/member.ts) with real ballots and
 * archives on disk, which can be killed and started again.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { must } from "../../src/base/assert.ts";
import type { Clock } from "../../src/base/clock.ts";
import { type Logger, silentLogger } from "../../src/base/log.ts";
import { Secret } from "../../src/base/secret.ts";
import { attemptViews, type Standing, standing } from "../../src/coalition/attempts.ts";
import type { Ceremony } from "../../src/coalition/ceremony.ts";
import type { ClearingView } from "../../src/coalition/clearing.ts";
import type { Coalition } from "../../src/coalition/config.ts";
import { type CoalitionRecords, coalitionRecords } from "../../src/coalition/records.ts";
import { type RunningMember, startMember } from "../../src/member.ts";
import type { Joined } from "../../src/network/join.ts";
import type { PeerKey } from "../../src/network/transport.ts";
import { allCollections, type BoardRecords, boardRecords } from "../../src/zipnet/board.ts";
import { secretsOf, testCeremony } from "./coalition.ts";
import { type FakeClock, fakeClock, type SkewedClock } from "./fake-clock.ts";
import { type MemoryNetwork, memoryNetwork } from "./memory-network.ts";

export interface CommitteeOptions {
  readonly members?: number;
  readonly threshold?: number;
  readonly tickMs?: number;
  readonly seed?: number;
  readonly evidence?: ClearingView["evidence"];
  readonly log?: Logger;
  /** Members (1-based) that are not started. */
  readonly absent?: readonly number[];
}

export interface Committee {
  readonly ceremony: Ceremony;
  readonly coalition: Coalition;
  readonly clock: FakeClock;
  readonly network: MemoryNetwork;
  readonly peers: readonly PeerKey[];
  /** The running member of this 1-based index; throws when it is down. */
  member(index: number): RunningMember;
  running(): readonly RunningMember[];
  /** Each member's own view of the wall clock. */
  clockOf(index: number): SkewedClock;
  start(index: number): Promise<RunningMember>;
  /** The power is cut; what is on disk stays. */
  kill(index: number): Promise<void>;
  /** Another node: a provider, a requester or an onlooker. */
  onlooker(seed: Uint8Array, options?: { readonly listens?: boolean }): Promise<Onlooker>;
  /** Where a request stands for one member. */
  standingAt(index: number, requestId: Uint8Array): Standing;
  close(): Promise<void>;
}

export interface Onlooker {
  readonly network: Joined;
  readonly records: CoalitionRecords;
  readonly board: BoardRecords;
}

export async function startCommittee(options: CommitteeOptions = {}): Promise<Committee> {
  const ceremony = testCeremony(options);
  const { coalition } = ceremony;
  const clock = fakeClock();
  const network = memoryNetwork(clock, options.seed ?? 1);
  const folder = mkdtempSync(join(tmpdir(), "compute-bridge-committee-"));
  const members = new Map<number, RunningMember>();
  const onlookers: Onlooker[] = [];
  const clocks = new Map(coalition.members.map(({ index }) => [index, clock.skewed()]));
  const clockOf = (index: number): SkewedClock => must(clocks.get(index), "a member's index");

  const start = async (index: number): Promise<RunningMember> => {
    const stateDir = join(folder, `member-${index}`);
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const { seed, grantShare, unsealShare } = secretsOf(ceremony, index);
    const member = await startMember({
      coalition,
      index,
      seed: new Secret(seed),
      grantShare: new Secret(grantShare),
      unsealShare: new Secret(unsealShare),
      stateDir,
      listen: ["/ip4/127.0.0.1/tcp/0"],
      announce: [],
      clock: clockOf(index),
      log: options.log ?? silentLogger,
      join: network.join,
      ...(options.evidence === undefined ? {} : { evidence: options.evidence }),
    });
    members.set(index, member);
    return member;
  };
  const kill = async (index: number): Promise<void> => {
    const member = must(members.get(index), "only a running member can be killed");
    members.delete(index);
    network.kill(member.network.node.self);
    await clock.run(member.stop(), 60_000, "the end of a killed member");
  };
  for (const { index } of coalition.members) {
    if (!options.absent?.includes(index)) await start(index);
  }

  const member = (index: number): RunningMember => must(members.get(index), `${index} is running`);
  return {
    ceremony,
    coalition,
    clock,
    network,
    peers: coalition.members.map(({ peer }) => peer),
    member,
    running: () => [...members.values()],
    clockOf,
    start,
    kill,
    async onlooker(seed, { listens = false } = {}) {
      const onlooker = await lookOn(coalition, network, clock, seed, listens);
      onlookers.push(onlooker);
      return onlooker;
    },
    standingAt(index, requestId) {
      const { records } = member(index);
      const seen = records.requests.get(Buffer.from(requestId).toString("hex"))?.arrivalTick ?? 0;
      const { attemptTicks } = coalition.file.compute;
      return standing(attemptViews(records, requestId), seen, records.tick().seq, attemptTicks);
    },
    async close() {
      for (const onlooker of onlookers) await onlooker.network.leave();
      for (const index of [...members.keys()]) await kill(index);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function lookOn(
  coalition: Coalition,
  network: MemoryNetwork,
  clock: Clock,
  seed: Uint8Array,
  listens: boolean,
): Promise<Onlooker> {
  const records = coalitionRecords(coalition);
  const board = boardRecords(coalition, records);
  const joined = await network.join({
    network: coalition.network,
    seed,
    listen: listens ? ["/ip4/127.0.0.1/tcp/0"] : [],
    announce: [],
    bootstrap: coalition.members.flatMap(({ addresses }) => addresses),
    collections: allCollections(records, board),
    tick: () => records.tick().seq,
    clock,
    log: silentLogger,
  });
  return { network: joined, records, board };
}
