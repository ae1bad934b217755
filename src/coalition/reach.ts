/**
 * Reaching the committee when a role starts: wait until enough members have handed over their records, say early who
 * does not answer, and give up where somebody stands before the screen.
 */
import type { Clock } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import { JOIN_CATCH_UP_MS, JOIN_MS, JOIN_NOTICE_MS, SECOND_MS } from "../base/limits.ts";
import type { Replica } from "../network/replica.ts";
import type { Coalition, Member } from "./config.ts";

export interface Reach {
  readonly coalition: Coalition;
  readonly replica: Replica;
  readonly clock: Clock;
  /** How many members have to answer. */
  readonly need: number;
  /** `give-up` after a bound, or `wait` for as long as it takes. */
  readonly patience: "give-up" | "wait";
  /** Told once, when members still do not answer after some seconds. */
  readonly onSilent: (silent: readonly Member[]) => void;
}

/** Throws `unreachable` with the silent members, `timeout` when those in reach hand nothing over, or the abort. */
export async function reachMembers(reach: Reach, signal: AbortSignal): Promise<void> {
  const { coalition, replica, need } = reach;
  const done = new AbortController();
  const givenUp = new AbortController();
  const until = AbortSignal.any([signal, givenUp.signal]);
  void watchSilence(reach, AbortSignal.any([signal, done.signal])).then((error) => {
    if (error !== undefined) givenUp.abort(error);
  });
  try {
    const peers = coalition.members.map((member) => member.peer);
    await replica.converged(peers, need, until);
  } catch (error) {
    throw givenUp.signal.aborted ? givenUp.signal.reason : error;
  } finally {
    done.abort();
  }
}

/** What to give up with, or undefined once the signal aborts. */
async function watchSilence(reach: Reach, signal: AbortSignal): Promise<BridgeError | undefined> {
  const { coalition, replica, clock, need } = reach;
  const startedMs = clock.monotonicMs();
  let reachedMs = startedMs; // when enough members were last in reach
  let told = false;
  for (;;) {
    await clock.sleep(SECOND_MS, signal);
    if (signal.aborted) return undefined;
    const nowMs = clock.monotonicMs();
    const silent = silentMembers(coalition, replica);
    if (coalition.members.length - silent.length >= need) reachedMs = nowMs;
    if (!told && silent.length > 0 && nowMs - startedMs >= JOIN_NOTICE_MS) {
      told = true;
      reach.onSilent(silent);
    }
    if (reach.patience === "wait") continue;
    if (nowMs - reachedMs >= JOIN_MS) return unreachable(silent, need);
    if (nowMs - startedMs >= JOIN_CATCH_UP_MS)
      return new BridgeError("timeout", `fewer than ${need} members handed over their records`, {
        retry: "later",
        fix: "try again later, or from a faster connection",
      });
  }
}

function silentMembers({ members }: Coalition, { transport }: Replica): Member[] {
  const connected = new Set(transport.peers());
  return members.filter(({ peer }) => peer !== transport.self && !connected.has(peer));
}

function unreachable(silent: readonly Member[], need: number): BridgeError {
  return new BridgeError(
    "unreachable",
    `fewer than ${need} members answer; silent: ${nameMembers(silent)}`,
    {
      retry: "later",
      fix: "check this machine's network and the member addresses in the coalition file",
    },
  );
}

/** `member-1 (/ip4/203.0.113.7/tcp/4600), …`, without the peer ids. */
export function nameMembers(members: readonly Member[]): string {
  return members
    .map(({ name, addresses: [address = ""] }) => `${name} (${address.split("/p2p/")[0]})`)
    .join(", ");
}
