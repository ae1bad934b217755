/**
 * What a committee member must never forget: its votes and its releases. Two rules make "at most one provider can
 * ever spend on a request" hold whatever the network does (DESIGN section 6.4):
 *
 *   one vote per (request, attempt), and none for a higher attempt while a release is held;
 *   no release for an attempt below one voted or released for, and one provider per attempt.
 *
 * A quorum that grants attempt b and a quorum that opens attempt a < b share an honest member. If it voted b first,
 * it refuses to release a; if it released a first, it refuses to vote b until a's provider has signed that it is done.
 * Every change is on disk (synchronous FULL) before the answer leaves.
 */
import { Database } from "bun:sqlite";
import { compare, toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { makePrivate } from "../base/private-file.ts";

export interface Release {
  readonly requestId: Uint8Array;
  readonly attempt: number;
  readonly providerId: Uint8Array;
  /** Endorsement seq and boot key of the instance that got the share. */
  readonly seq: number;
  readonly bootKey: Uint8Array;
}

export interface Ballot {
  /**
   * Records a vote. Idempotent for the same grant. Throws `already-voted`, `attempt-passed` or `release-locked`;
   * `isOver` tells whether the provider of a held release has signed its refusal or final log.
   */
  vote(
    requestId: Uint8Array,
    attempt: number,
    grantId: Uint8Array,
    isOver: (release: Release) => boolean,
  ): void;
  /** True when this member has voted for exactly this grant. */
  hasVoted(requestId: Uint8Array, attempt: number, grantId: Uint8Array): boolean;
  /**
   * Records a release. Throws `attempt-passed`, `not-the-provider`, or `stale-epoch` for an older instance, and for
   * another one of the same seq: of two that were started at once only the first to ask is answered.
   */
  release(release: Release): void;
  releases(requestId: Uint8Array): Release[];
  /** Forgets requests last touched before this tick; they have lapsed for everybody. */
  prune(beforeTick: number): void;
  close(): void;
}

type VoteRow = { attempt: number; grant_id: Uint8Array };
type ReleaseRow = { attempt: number; provider_id: Uint8Array; seq: number; boot_key: Uint8Array };

/** What cannot be written is not answered: `journal-unwritable`, and an alarm in the log. */
export function openBallot(path: string, nowTick: () => number, log: Logger): Ballot {
  makePrivate(path);
  const db = new Database(path, { create: true, strict: true });
  db.run("PRAGMA journal_mode = WAL");
  db.run("PRAGMA synchronous = FULL");
  db.run(
    "CREATE TABLE IF NOT EXISTS votes (request BLOB, attempt INTEGER, grant_id BLOB NOT NULL, tick INTEGER NOT NULL, PRIMARY KEY (request, attempt)) WITHOUT ROWID",
  );
  db.run(
    "CREATE TABLE IF NOT EXISTS releases (request BLOB, attempt INTEGER, provider_id BLOB NOT NULL, seq INTEGER NOT NULL, boot_key BLOB NOT NULL, tick INTEGER NOT NULL, PRIMARY KEY (request, attempt)) WITHOUT ROWID",
  );
  const votesOf = db.query<VoteRow, [Uint8Array]>(
    "SELECT attempt, grant_id FROM votes WHERE request = ?",
  );
  const releasesOf = db.query<ReleaseRow, [Uint8Array]>(
    "SELECT attempt, provider_id, seq, boot_key FROM releases WHERE request = ?",
  );
  const addVote = db.query("INSERT INTO votes VALUES (?, ?, ?, ?)");
  const putRelease = db.query("INSERT OR REPLACE INTO releases VALUES (?, ?, ?, ?, ?, ?)");

  const write = (action: () => void): void => {
    try {
      action();
    } catch (cause) {
      const error = new BridgeError("journal-unwritable", "the ballot cannot be written", {
        cause,
        retry: "later",
        fix: "free disk space or make the state directory writable; until then this member is silent",
      });
      log.error("ballot-unwritable", { error });
      throw error;
    }
  };
  const releases = (requestId: Uint8Array): Release[] =>
    releasesOf.all(requestId).map((row) => ({
      requestId,
      attempt: row.attempt,
      providerId: row.provider_id,
      seq: row.seq,
      bootKey: row.boot_key,
    }));

  return {
    vote(requestId, attempt, grantId, isOver) {
      const votes = votesOf.all(requestId);
      const same = votes.find((vote) => vote.attempt === attempt);
      if (same !== undefined) {
        if (compare(same.grant_id, grantId) === 0) return;
        throw new BridgeError("already-voted", `voted for another grant in attempt ${attempt}`);
      }
      const held = releases(requestId);
      if (
        votes.some((vote) => vote.attempt > attempt) ||
        held.some((release) => release.attempt >= attempt)
      ) {
        throw new BridgeError(
          "attempt-passed",
          `attempt ${attempt} lies behind a later vote or a release`,
        );
      }
      const locked = held.find((release) => release.attempt < attempt && !isOver(release));
      if (locked !== undefined) {
        throw new BridgeError(
          "release-locked",
          `a share is released for attempt ${locked.attempt}`,
          { retry: "later" },
        );
      }
      write(() => addVote.run(requestId, attempt, grantId, nowTick()));
    },
    hasVoted: (requestId, attempt, grantId) =>
      votesOf
        .all(requestId)
        .some((vote) => vote.attempt === attempt && compare(vote.grant_id, grantId) === 0),
    release({ requestId, attempt, providerId, seq, bootKey }) {
      const held = releases(requestId);
      if ([...votesOf.all(requestId), ...held].some((later) => later.attempt > attempt)) {
        throw new BridgeError(
          "attempt-passed",
          `attempt ${attempt} lies behind a later vote or release`,
        );
      }
      const same = held.find((release) => release.attempt === attempt);
      if (same !== undefined) {
        if (toHex(same.providerId) !== toHex(providerId)) {
          throw new BridgeError(
            "not-the-provider",
            `attempt ${attempt} was released to another provider`,
          );
        }
        const sameInstance = seq === same.seq && compare(same.bootKey, bootKey) === 0;
        if (seq <= same.seq && !sameInstance)
          throw new BridgeError("stale-epoch", "another instance of this provider has the share");
        if (sameInstance) return;
      }
      write(() => putRelease.run(requestId, attempt, providerId, seq, bootKey, nowTick()));
    },
    releases,
    prune: (beforeTick) =>
      write(() => {
        db.run("DELETE FROM votes WHERE tick < ?", [beforeTick]);
        db.run("DELETE FROM releases WHERE tick < ?", [beforeTick]);
      }),
    close: () => db.close(),
  };
}
