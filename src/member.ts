/**
 * A committee member: it keeps the coalition's records, ticks the almanac, takes requests in, proposes and votes on
 * grants, and releases its share of an envelope to the one provider that holds the grant. One membership, one durable
 * ballot: the scheduler and the unsealer never contradict each other.
 */
import { join } from "node:path";
import { equal } from "./base/bytes.ts";
import type { Clock } from "./base/clock.ts";
import { signingKey } from "./base/ed25519.ts";
import { BridgeError, hasCode } from "./base/errors.ts";
import { BALLOT_KEEP_EXTRA_TICKS, SWEEP_INTERVAL_MS } from "./base/limits.ts";
import type { Logger } from "./base/log.ts";
import type { Secret } from "./base/secret.ts";
import { Shutdown } from "./base/shutdown.ts";
import { runTicker } from "./coalition/almanac.ts";
import { type Ballot, openBallot } from "./coalition/ballot.ts";
import { DURATION_MAX_MS } from "./coalition/classes.ts";
import { type ClearingView, withoutEvidence } from "./coalition/clearing.ts";
import type { Coalition } from "./coalition/config.ts";
import { openMarket } from "./coalition/market.ts";
import { type CoalitionRecords, coalitionRecords } from "./coalition/records.ts";
import { runScheduler } from "./coalition/scheduler.ts";
import { createSigner } from "./coalition/signing.ts";
import { createVoter, serveVoting } from "./coalition/voting.ts";
import { openArchive } from "./network/archive.ts";
import { type Join, type Joined, joinNetwork } from "./network/join.ts";
import { openStateDir } from "./stages/state-dir.ts";
import { allCollections, type BoardRecords, boardRecords } from "./zipnet/board.ts";
import { checkUnsealShare } from "./zipnet/tdh2.ts";
import { serveDirect } from "./zipnet/transport.ts";
import { serveUnseal } from "./zipnet/unseal.ts";

export interface MemberOptions {
  readonly coalition: Coalition;
  /** 1-based place in the coalition file. */
  readonly index: number;
  readonly seed: Secret;
  readonly grantShare: Secret;
  readonly unsealShare: Secret;
  readonly stateDir: string;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether a card satisfies what a request accepts. */
  readonly evidence?: ClearingView["evidence"];
  readonly join?: Join;
}

export interface RunningMember {
  readonly network: Joined;
  readonly records: CoalitionRecords;
  readonly board: BoardRecords;
  stop(): Promise<void>;
}

const STOP_STAGE_MS = 5000;

export async function startMember(options: MemberOptions): Promise<RunningMember> {
  const { coalition, index, clock, stateDir, evidence = withoutEvidence } = options;
  const log = options.log.with({ member: index });
  const key = signingKey(options.seed.reveal());
  checkMemberKeys(options);
  openStateDir(stateDir);
  const shutdown = new Shutdown(clock);
  const { signal } = shutdown;

  const records = coalitionRecords(coalition);
  const board = boardRecords(coalition, records);
  const network = await (options.join ?? joinNetwork)({
    network: coalition.network,
    seed: options.seed.reveal(),
    listen: options.listen,
    announce: options.announce,
    bootstrap: coalition.members.flatMap((member) => member.addresses),
    collections: allCollections(records, board),
    tick: () => records.tick().seq,
    archive: openArchive(join(stateDir, "records.db")),
    clock,
    log,
  });
  shutdown.defer("network", () => network.leave());
  const { replica, node } = network;

  const ballot = openBallot(join(stateDir, "ballot.db"), () => records.tick().seq, log);
  shutdown.defer("ballot", () => ballot.close());
  const market = openMarket(records);
  const signer = createSigner(coalition, index, options.grantShare.reveal());
  const voter = createVoter({ coalition, records, market, ballot, signer, evidence });

  serveDirect(node, replica.store, log);
  serveVoting(node, coalition, voter);
  serveUnseal(node, {
    coalition,
    index,
    share: options.unsealShare.reveal(),
    records,
    store: replica.store,
    ballot,
    evidence,
    nowMs: () => clock.nowMs(),
    log,
  });

  const publish = (record: Parameters<typeof replica.publish>[0]): void => replica.publish(record);
  void runTicker({ coalition, key, votes: records.ticks, publish, clock, log, signal });
  void runScheduler({
    coalition,
    index,
    records,
    replica,
    market,
    voter,
    evidence,
    clock,
    log,
    signal,
  });
  void pruneBallot(ballot, coalition, records, clock, signal);
  log.info("member-up", { addresses: node.addresses().join(" ") });
  return {
    network,
    records,
    board,
    stop: async () => void (await shutdown.run(STOP_STAGE_MS, log)),
  };
}

/** Votes and releases are kept until every record of their request has lapsed for everybody. */
async function pruneBallot(
  ballot: Ballot,
  coalition: Coalition,
  records: CoalitionRecords,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const { compute, almanac } = coalition.file;
  const grantTicks = Math.ceil(DURATION_MAX_MS / almanac.periodMs);
  const lifeTicks = compute.requestTicks + grantTicks + compute.keepTicks + BALLOT_KEEP_EXTRA_TICKS;
  while (!signal.aborted) {
    await clock.sleep(SWEEP_INTERVAL_MS, signal);
    const before = records.tick().seq - lifeTicks;
    if (signal.aborted || before <= 0) continue;
    try {
      ballot.prune(before);
    } catch (error) {
      if (!hasCode(error, "journal-unwritable")) throw error; // it has raised its alarm; the next round comes
    }
  }
}

export type MemberKeys = Pick<MemberOptions, "index" | "seed" | "grantShare" | "unsealShare">;

/** What each secret of a member must be for it to start. Each throws `config-invalid`. */
export const memberChecks = {
  key(coalition: Coalition, { index, seed }: MemberKeys): void {
    const member = coalition.members.find((one) => one.index === index);
    const { publicKey } = signingKey(seed.reveal());
    if (member !== undefined && equal(member.key, publicKey)) return;
    throw new BridgeError(
      "config-invalid",
      `the key is not that of member ${index} of ${coalition.members.length} in the coalition file`,
      { fix: "check member.index and member.key against coalition.toml" },
    );
  },
  grantShare(coalition: Coalition, { index, grantShare }: MemberKeys): void {
    createSigner(coalition, index, grantShare.reveal());
  },
  unsealShare(coalition: Coalition, { index, unsealShare }: MemberKeys): void {
    checkUnsealShare(coalition.unsealShareKeys.get(index), unsealShare.reveal());
  },
} as const;

function checkMemberKeys(options: MemberOptions): void {
  for (const check of Object.values(memberChecks)) check(options.coalition, options);
}
