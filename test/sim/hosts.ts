/**
 * Where the simulated processes run: real members and real providers, each on a disk that outlives it, with a clock and
 * a power switch of its own. A crash cuts the power: no goodbye, no last write.
 */
import { Database } from "bun:sqlite";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { must } from "../../src/base/assert.ts";
import { toHex } from "../../src/base/bytes.ts";
import { decodeCanonical } from "../../src/base/canonical.ts";
import { signingKey } from "../../src/base/ed25519.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { HOUR_MS, SECOND_MS } from "../../src/base/limits.ts";
import type { Logger } from "../../src/base/log.ts";
import { Secret } from "../../src/base/secret.ts";
import type { Ceremony } from "../../src/coalition/ceremony.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import { providerId } from "../../src/coalition/ids.ts";
import { VOTE_PROTOCOL, voteCodec } from "../../src/coalition/voting.ts";
import { type Journal, openJournal } from "../../src/ledger/journal.ts";
import type { GrantChange } from "../../src/ledger/ledger.ts";
import { type RunningMember, startMember } from "../../src/member.ts";
import type { Join } from "../../src/network/join.ts";
import { decodeRecord } from "../../src/network/record.ts";
import type { PeerKey, RequestHandler } from "../../src/network/transport.ts";
import { type Provider, startProvider } from "../../src/provider.ts";
import { SHARE_PROTOCOL, shareRequestCodec } from "../../src/zipnet/unseal.ts";
import { keyNamed, secretsOf, seedNamed } from "../support/coalition.ts";
import type { FakeClock } from "../support/fake-clock.ts";
import type { MemoryNetwork } from "../support/memory-network.ts";
import { type Cloud, type CloudMachine, openCloud } from "./cloud.ts";
import { cloudBackend } from "./cloud-backend.ts";
import type { Observer } from "./observer.ts";
import { type ProcessClock, processClock } from "./process-clock.ts";
import type { Dice } from "./random.ts";

/** A ballot that does not keep what it has written, or a member that lies; `undefined` for an honest one. */
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
}

/** A place where one process runs at a time. */
export interface Host {
  readonly name: string;
  /** The process's peer key, while one runs. */
  readonly peer: PeerKey | undefined;
  readonly process: ProcessClock | undefined;
  start(): Promise<void>;
  crash(): Promise<void>;
}

export interface MemberHost extends Host {
  readonly index: number;
  readonly member: RunningMember | undefined;
  /**
   * The power cut took what the records' file had not synced: all that came after `sinceMs` of the world's time. The
   * ballot is on disk whatever happens.
   */
  loseRecords(sinceMs: number): void;
}

export interface ProviderHost extends Host {
  readonly provider: Provider | undefined;
  readonly clouds: readonly Cloud[];
  /** The journal throws on every write while this is set. */
  diskFull: boolean;
  /** Its wall clock was moved or its journal lost: it can only estimate what its machines have cost. */
  booksUnsure: boolean;
  loseJournal(): void;
  /** Called after each change of a grant is on disk. */
  onChange: (change: GrantChange) => void;
}

export function memberHost(world: World, index: number, sabotage?: Sabotage): MemberHost {
  const { ceremony, network, observer } = world;
  const stateDir = join(world.folder, `member-${index}`);
  mkdirSync(stateDir, { recursive: true });
  const { seed, grantShare, unsealShare } = secretsOf(ceremony, index);
  const ballotPath = join(stateDir, "ballot.db");
  let member: RunningMember | undefined;
  let process: ProcessClock | undefined;

  let recent: { kind: string; key: string; atMs: number }[] = [];
  const tap: Tap = {
    voted(grant) {
      if (sabotage !== "byzantine") observer.voted(index, grant);
      if (sabotage === "forgets-votes" || sabotage === "byzantine") forget(ballotPath, "votes");
    },
    released(grant, seq) {
      if (sabotage !== "byzantine") observer.released(index, grant, seq);
      if (sabotage === "forgets-releases" || sabotage === "byzantine")
        forget(ballotPath, "releases");
    },
    answer(bytes) {
      if (sabotage !== "byzantine" || world.dice.chance(0.7)) return bytes;
      if (world.dice.chance(0.5)) throw new BridgeError("timeout", "says nothing");
      return bytes.map((byte) => byte ^ world.dice.below(2));
    },
  };
  return {
    name: `member ${index}`,
    index,
    peer: toHex(signingKey(seed).publicKey),
    get member() {
      return member;
    },
    get process() {
      return process;
    },
    async start() {
      process = processClock(world.clock, world.dice.between(-2000, 2000));
      member = await startMember({
        coalition: ceremony.coalition,
        index,
        seed: new Secret(seed),
        grantShare: new Secret(grantShare),
        unsealShare: new Secret(unsealShare),
        stateDir,
        listen: ["/ip4/127.0.0.1/tcp/0"],
        announce: [],
        clock: process,
        log: world.log.with({ host: `member ${index}` }),
        join: tapped(network.join, tap),
      });
      observer.follow(member.records);
      recent = [];
      member.network.replica.store.onStored(({ key }, kind) => {
        if (kind !== "tick") recent.push({ kind, key, atMs: world.clock.nowMs() });
      });
    },
    async crash() {
      const dead = must(member, "a member that runs");
      process?.end();
      network.kill(dead.network.node.self);
      member = undefined;
      // Nothing leaves a dead node; this only closes its files.
      await world.clock.run(dead.stop(), 60 * SECOND_MS, "closing the files of a dead member");
    },
    loseRecords(sinceMs) {
      const db = new Database(join(stateDir, "records.db"));
      const remove = db.query("DELETE FROM records WHERE kind = ? AND key = ?");
      for (const { kind, key, atMs } of recent) if (atMs >= sinceMs) remove.run(kind, key);
      db.close();
    },
  };
}

interface Tap {
  voted(grant: ComputeGrant): void;
  released(grant: ComputeGrant, seq: number): void;
  answer(bytes: Uint8Array): Uint8Array;
}

/** The network as a member has it, with an ear at what it votes and releases. */
function tapped(join: Join, tap: Tap): Join {
  return async (options) => {
    const joined = await join(options);
    const { node } = joined;
    const listen =
      (protocol: string, handler: RequestHandler): RequestHandler =>
      async (peer, body) => {
        const result = await handler(peer, body);
        if (protocol === VOTE_PROTOCOL) tap.voted(voteCodec.decode(body, body.length).grant);
        if (protocol === SHARE_PROTOCOL) {
          const request = shareRequestCodec.decode(body, body.length);
          const grant = bodyOf<ComputeGrant>(request.grant);
          tap.released(
            grant,
            bodyOf<{ endorsement: { seq: number } }>(request.admission).endorsement.seq,
          );
        }
        return protocol === VOTE_PROTOCOL || protocol === SHARE_PROTOCOL
          ? tap.answer(result)
          : result;
      };
    return {
      ...joined,
      node: {
        ...node,
        handle: (protocol, bytesMax, handler) =>
          node.handle(protocol, bytesMax, listen(protocol, handler)),
      },
      replica: {
        ...joined.replica,
        transport: {
          ...joined.replica.transport,
          request(peer, protocol, body, how) {
            // Whoever asks for votes has voted.
            if (protocol === VOTE_PROTOCOL) tap.voted(voteCodec.decode(body, body.length).grant);
            return joined.replica.transport.request(peer, protocol, body, how);
          },
        },
      },
    };
  };
}

function bodyOf<T>(record: Uint8Array): T {
  const { body } = decodeRecord(record);
  return decodeCanonical(body, body.length) as T;
}

/** What a member with a broken ballot does: it has written the row, and does not find it again. */
function forget(ballotPath: string, table: "votes" | "releases"): void {
  const db = new Database(ballotPath);
  db.run(`DELETE FROM ${table}`);
  db.close();
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
    get process() {
      return process;
    },
    get peer() {
      return provider?.network.node.self;
    },
    async start() {
      const clock = processClock(world.clock, world.dice.between(-2000, 2000));
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
      provider.ledger.onChange((change) => host.onChange(change));
    },
    async crash() {
      const dead = must(provider, "a provider that runs");
      process?.end();
      journal?.close();
      network.kill(dead.network.node.self);
      provider = undefined;
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
