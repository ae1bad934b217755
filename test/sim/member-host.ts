/**
 * A real member of the committee on a simulated host, with an ear at what it votes and releases, and with the two ways a
 * member can be wrong: a ballot that forgets, and answers that lie.
 */
import { Database } from "bun:sqlite";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { must } from "../../src/base/assert.ts";
import { toHex } from "../../src/base/bytes.ts";
import { decodeCanonical } from "../../src/base/canonical.ts";
import { signingKey } from "../../src/base/ed25519.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { SECOND_MS } from "../../src/base/limits.ts";
import { Secret } from "../../src/base/secret.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import { VOTE_PROTOCOL, voteCodec } from "../../src/coalition/voting.ts";
import { type RunningMember, startMember } from "../../src/member.ts";
import type { Join } from "../../src/network/join.ts";
import { decodeRecord } from "../../src/network/record.ts";
import type { RequestHandler } from "../../src/network/transport.ts";
import { SHARE_PROTOCOL, shareRequestCodec } from "../../src/zipnet/unseal.ts";
import { secretsOf } from "../support/coalition.ts";
import { type ProcessClock, processClock } from "./process-clock.ts";
import { type Host, type Sabotage, SKEW_MS_MAX, type World } from "./world.ts";

export interface MemberHost extends Host {
  readonly index: number;
  readonly member: RunningMember | undefined;
  /**
   * The power cut took what the records' file had not synced: all that came after `sinceMs` of the world's time. The
   * ballot is on disk whatever happens.
   */
  loseRecords(sinceMs: number): void;
}

export function memberHost(world: World, index: number, sabotage?: Sabotage): MemberHost {
  const { ceremony, network, observer } = world;
  const stateDir = join(world.folder, `member-${index}`);
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const { seed, grantShare, unsealShare } = secretsOf(ceremony, index);
  const ballotPath = join(stateDir, "ballot.db");
  let member: RunningMember | undefined;
  let process: ProcessClock | undefined;

  let recent: { kind: string; key: string; atMs: number }[] = [];
  const tap: Tap = {
    voted(grant) {
      if (sabotage !== "byzantine") observer.voted(index, grant);
      if (sabotage === "byzantine") forget(ballotPath, "votes");
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
    get isUp() {
      return member !== undefined;
    },
    async start() {
      if (sabotage === "forgets-votes" && existsSync(ballotPath)) forget(ballotPath, "votes");
      process = processClock(world.clock, world.dice.between(-SKEW_MS_MAX, SKEW_MS_MAX));
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
