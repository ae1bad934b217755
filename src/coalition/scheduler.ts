/**
 * A member as a proposer: it keeps the open requests, and when the rotation falls on it, picks the winner, gathers
 * votes, has the grant signed by a threshold, and publishes it.
 */

import { atLeast } from "../base/async.ts";
import { fromHex, toHex } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import type { Clock } from "../base/clock.ts";
import { BridgeError, codeOf } from "../base/errors.ts";
import { ATTEMPTS_MAX, COMMITTEE_REQUEST_MS, PROPOSALS_AT_ONCE_MAX } from "../base/limits.ts";
import { correlate, type Logger } from "../base/log.ts";
import { codec } from "../base/schema.ts";
import type { Entry } from "../network/collection.ts";
import { signingInput, unsignedRecord } from "../network/record.ts";
import type { Replica } from "../network/replica.ts";
import { attemptViews, excludedProviders, standing } from "./attempts.ts";
import { cardHash } from "./card.ts";
import { type Candidate, type Choice, type ClearingView, choose, proposerOf } from "./clearing.ts";
import type { Coalition, Member } from "./config.ts";
import type { ComputeGrant } from "./grant.ts";
import { attemptKey } from "./ids.ts";
import type { Market } from "./market.ts";
import type { CoalitionRecords } from "./records.ts";
import type { ComputeRequest, RequestMessage } from "./request.ts";
import { type Commitment, CommitmentSchema, type SigningPeer, signTogether } from "./signing.ts";
import { SIGN_PROTOCOL, VOTE_PROTOCOL, type Voter } from "./voting.ts";

export interface SchedulerOptions {
  readonly coalition: Coalition;
  readonly index: number;
  readonly records: CoalitionRecords;
  readonly replica: Replica;
  readonly market: Market;
  readonly voter: Voter;
  readonly evidence: ClearingView["evidence"];
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

const commitmentCodec = codec(CommitmentSchema, "commitment");

interface Open {
  readonly entry: Entry<RequestMessage>;
  readonly id: Uint8Array;
  readonly isOurs: readonly boolean[];
}

/** Runs until the signal aborts: wakes on every tick, request, refusal and card. */
export async function runScheduler(options: SchedulerOptions): Promise<void> {
  const { coalition, records, market, clock, log, signal } = options;
  /** Requests that may still need a grant. */
  const open = new Map<string, Open>();
  /** Once this member has voted for its proposal it repeats it unchanged: a vote is for one grant only. */
  const proposals = new Map<string, ComputeGrant>();
  /** Proposals under way, and the provider each is for. */
  const running = new Map<string, string>();
  const wake = waker();

  const reopen = (entry: Entry<RequestMessage>): void => {
    const id = fromHex(entry.key, "request id");
    open.set(entry.key, open.get(entry.key) ?? { entry, id, isOurs: turns(id) });
  };
  for (const entry of records.requests.values()) reopen(entry);
  const unsubscribe = [
    records.requests.subscribe((entry) => {
      reopen(entry);
      wake.now();
    }),
    records.refusals.subscribe(({ body }) => {
      const entry = records.requests.get(toHex(body.requestId));
      if (entry !== undefined) reopen(entry);
      wake.now();
    }),
    records.cards.subscribe(() => wake.now()),
    records.ticks.subscribe(() => wake.now()),
  ];
  while (!signal.aborted) {
    market.sweep();
    for (const one of open.values()) consider(one);
    await wake.next(coalition.file.almanac.periodMs, clock, signal);
  }
  for (const stop of unsubscribe) stop();

  /** By attempt: whether this member proposes. Hashed once per request, because every wake looks at all of them. */
  function turns(id: Uint8Array): boolean[] {
    const { length } = coalition.members;
    return Array.from(
      { length: ATTEMPTS_MAX + 1 },
      (_, n) => proposerOf(id, n, length) === options.index,
    );
  }

  function consider({ entry, id, isOurs }: Open): void {
    const { request } = entry.body;
    const now = records.tick().seq;
    const at = standing(
      attemptViews(records, id),
      entry.arrivalTick,
      now,
      coalition.file.compute.attemptTicks,
    );
    const settled = ["admitted", "refused", "exhausted"].includes(at.state);
    if (request.expiryTick < now || settled) {
      open.delete(entry.key); // a refusal brings an admitted one back
      return;
    }
    if (at.state !== "open" || now === 0) return;
    if (isOurs[at.attempt] !== true) return;
    const key = attemptKey(id, at.attempt);
    if (running.has(key) || running.size >= PROPOSALS_AT_ONCE_MAX) return;
    const grant = proposals.get(key) ?? draft(request, id, at.attempt);
    if (grant === undefined) return;
    running.set(key, toHex(grant.providerId));
    void propose(key, grant)
      .catch((error: unknown) =>
        log.info("proposal-failed", { request: id, attempt: at.attempt, error }),
      )
      .finally(() => running.delete(key));
    forgetOld(proposals);
  }

  /** The winner under the clearing rule, as a grant. */
  function draft(
    request: ComputeRequest,
    id: Uint8Array,
    attempt: number,
  ): ComputeGrant | undefined {
    const now = records.tick();
    const { compute } = coalition.file;
    const choice = choose(withOwnProposals(market.candidates()), request, id, {
      nowTick: now.seq,
      cardTicks: compute.cardTicks,
      excluded: excludedProviders(records, id),
      evidence: options.evidence,
    });
    return choice && grantFor(coalition, request, id, attempt, choice, now);
  }

  /** A burst of requests must not all be granted the last place: what is being signed is taken, too. */
  function* withOwnProposals(candidates: Iterable<Candidate>): Iterable<Candidate> {
    const taken = new Map<string, number>();
    for (const provider of running.values()) taken.set(provider, (taken.get(provider) ?? 0) + 1);
    for (const one of candidates) {
      const proposed = taken.get(toHex(one.card.providerId)) ?? 0;
      yield { ...one, unaccounted: one.unaccounted + proposed };
    }
  }

  async function propose(key: string, grant: ComputeGrant): Promise<void> {
    const own: Commitment = options.voter.vote(grant);
    // Not before: a draft that a release lock holds up would be too old once the lock is gone.
    proposals.set(key, grant);
    const ready = new Map([[options.index, own]]);
    const others = coalition.members.filter((member) => member.index !== options.index);
    const refusals: string[] = [];
    const asked = others.map((member) => askVote(member, grant, ready, refusals));
    if (!(await atLeast(coalition.file.committee.grantThreshold - 1, asked))) {
      throw new BridgeError("too-few-shares", `too few votes: ${refusals.join("; ")}`, {
        retry: "later",
      });
    }
    // Who has answered signs first; the others stand by in case one of these fails.
    const willing = coalition.members.toSorted(
      (a, b) => Number(ready.has(b.index)) - Number(ready.has(a.index)),
    );
    const unsigned = unsignedRecord(coalition.network, "grant", grant);
    const peers = willing.map((member) => signingPeer(member, grant));
    const { signature, named } = await signTogether(
      coalition,
      signingInput(unsigned),
      peers,
      ready,
    );
    for (const { index, reason } of named) log.warn("signer-named", { member: index, reason });
    options.replica.publish({ ...unsigned, signer: coalition.grantKey, signature });
    log.info("granted", {
      request: correlate(grant.requestId),
      attempt: grant.attempt,
      provider: toHex(grant.providerId).slice(0, 12),
    });
  }

  async function askVote(
    member: Member,
    grant: ComputeGrant,
    ready: Map<number, Commitment>,
    refusals: string[],
  ): Promise<void> {
    try {
      ready.set(member.index, await vote(member, grant));
    } catch (error) {
      refusals.push(`member ${member.index} ${codeOf(error)}`);
      throw error;
    }
  }

  async function vote(member: Member, grant: ComputeGrant): Promise<Commitment> {
    const answer = await options.replica.transport.request(
      member.peer,
      VOTE_PROTOCOL,
      encodeCanonical({ grant }),
      {
        timeoutMs: COMMITTEE_REQUEST_MS,
        signal,
      },
    );
    const commitment = commitmentCodec.decode(answer, 1024);
    if (commitment.index !== member.index)
      throw new BridgeError("bad-share", "a commitment under another index");
    return commitment;
  }

  function signingPeer(member: Member, grant: ComputeGrant): SigningPeer {
    if (member.index === options.index) {
      return {
        index: member.index,
        commit: async () => options.voter.vote(grant),
        sign: async (commitments) => options.voter.sign(grant, commitments),
      };
    }
    return {
      index: member.index,
      commit: () => vote(member, grant),
      sign: (commitments) =>
        options.replica.transport.request(
          member.peer,
          SIGN_PROTOCOL,
          encodeCanonical({ grant, commitments }),
          { timeoutMs: COMMITTEE_REQUEST_MS, signal },
        ),
    };
  }
}

function grantFor(
  coalition: Coalition,
  request: ComputeRequest,
  id: Uint8Array,
  attempt: number,
  { card, offer }: Choice,
  now: { seq: number; timeMs: number },
): ComputeGrant {
  const { almanac, compute, committee } = coalition.file;
  return {
    v: 1,
    requestId: id as ComputeGrant["requestId"],
    attempt,
    providerId: card.providerId,
    offerId: offer.offerId,
    cardHash: cardHash(card),
    pricePerHourMicros: offer.pricePerHourMicros,
    imageCommitment: request.imageCommitment,
    manifestCommitment: request.manifestCommitment,
    bearerPointer: request.bearerPointer,
    // The time to admit and start a machine does not come out of the requester's time.
    validToTick: now.seq + Math.ceil(request.durationMs / almanac.periodMs) + compute.attemptTicks,
    notAfterMs: now.timeMs + request.durationMs + compute.attemptTicks * almanac.periodMs,
    committeeEpoch: committee.epoch,
  };
}

/** Proposals are small and lapse with their attempt; the oldest go first. */
function forgetOld(proposals: Map<string, ComputeGrant>): void {
  for (const key of proposals.keys()) {
    if (proposals.size <= 16 * PROPOSALS_AT_ONCE_MAX) return;
    proposals.delete(key);
  }
}

function waker(): {
  now(): void;
  next(maxMs: number, clock: Clock, signal: AbortSignal): Promise<void>;
} {
  let pending = false;
  let controller = new AbortController();
  return {
    now() {
      pending = true;
      controller.abort();
    },
    async next(maxMs, clock, signal) {
      if (!pending) {
        controller = new AbortController();
        await clock.sleep(maxMs, AbortSignal.any([signal, controller.signal]));
      }
      pending = false;
    },
  };
}
