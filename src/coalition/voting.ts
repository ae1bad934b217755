/**
 * A member as a voter: it judges a proposed grant with its own records and filters, votes at most once per attempt,
 * and signs only what it voted for. Served to the member that proposes for the attempt, and nobody else.
 */
import { equal, toHex } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { BridgeError } from "../base/errors.ts";
import { COMMITTEE_REQUEST_BYTES_MAX, GRANT_TIME_SLACK_MS } from "../base/limits.ts";
import { codec, strictObject, Type } from "../base/schema.ts";
import { signingInput, unsignedRecord } from "../network/record.ts";
import type { PeerKey, Transport } from "../network/transport.ts";
import type { Tick } from "./almanac.ts";
import { logChain } from "./answers.ts";
import { attemptViews, excludedProviders, standing } from "./attempts.ts";
import type { Ballot, Release } from "./ballot.ts";
import { type ClearingView, ineligible, proposerOf } from "./clearing.ts";
import type { Coalition } from "./config.ts";
import { type ComputeGrant, GrantSchema, grantId } from "./grant.ts";
import { attemptKey } from "./ids.ts";
import { isFinal } from "./log.ts";
import type { Market } from "./market.ts";
import type { CoalitionRecords } from "./records.ts";
import type { ComputeRequest } from "./request.ts";
import { type Commitment, CommitmentSchema, type Signer } from "./signing.ts";

export const VOTE_PROTOCOL = "/compute-bridge/vote/1";
export const SIGN_PROTOCOL = "/compute-bridge/sign/1";

export const voteCodec = codec(strictObject({ grant: GrantSchema }), "vote request");
export const signCodec = codec(
  strictObject({
    grant: GrantSchema,
    commitments: Type.Array(CommitmentSchema, { minItems: 1, maxItems: 15 }),
  }),
  "sign request",
);

export interface Voter {
  /** Judges and records; returns fresh nonces. Throws a BridgeError of family `committee`. */
  vote(grant: ComputeGrant): Commitment;
  /** Throws `already-voted` when this member has not voted for this very grant. */
  sign(grant: ComputeGrant, commitments: readonly Commitment[]): Uint8Array;
}

export interface VoterOptions {
  readonly coalition: Coalition;
  readonly records: CoalitionRecords;
  readonly market: Market;
  readonly ballot: Ballot;
  readonly signer: Signer;
  readonly evidence: ClearingView["evidence"];
}

export function createVoter(options: VoterOptions): Voter {
  const { coalition, records, ballot, signer } = options;
  return {
    vote(grant) {
      const id = grantId(grant);
      if (!ballot.hasVoted(grant.requestId, grant.attempt, id)) {
        judge(options, grant);
        ballot.vote(grant.requestId, grant.attempt, id, (release) => isOver(records, release));
      }
      return signer.commit();
    },
    sign(grant, commitments) {
      if (!ballot.hasVoted(grant.requestId, grant.attempt, grantId(grant))) {
        throw new BridgeError("already-voted", "no vote of this member stands for this grant");
      }
      return signer.sign(
        signingInput(unsignedRecord(coalition.network, "grant", grant)),
        commitments,
      );
    },
  };
}

export function serveVoting(transport: Transport, coalition: Coalition, voter: Voter): void {
  /** One member proposes per attempt: nobody can use up the votes of an attempt that is not its own. */
  const proposerOnly = (peer: PeerKey, { requestId, attempt }: ComputeGrant): void => {
    const member = coalition.members.find((one) => one.peer === peer);
    if (member?.index !== proposerOf(requestId, attempt, coalition.members.length)) {
      throw new BridgeError("not-eligible", "this peer does not propose for this attempt");
    }
  };
  transport.handle(VOTE_PROTOCOL, COMMITTEE_REQUEST_BYTES_MAX, (peer, bytes) => {
    const { grant } = voteCodec.decode(bytes, COMMITTEE_REQUEST_BYTES_MAX);
    proposerOnly(peer, grant);
    return encodeCanonical(voter.vote(grant));
  });
  transport.handle(SIGN_PROTOCOL, COMMITTEE_REQUEST_BYTES_MAX, (peer, bytes) => {
    const { grant, commitments } = signCodec.decode(bytes, COMMITTEE_REQUEST_BYTES_MAX);
    proposerOnly(peer, grant);
    return voter.sign(grant, commitments);
  });
}

/** The provider that holds our share has signed that it is done: its refusal, or a final log. */
export function isOver(records: CoalitionRecords, release: Release): boolean {
  const key = attemptKey(release.requestId, release.attempt);
  const refusal = records.refusals.get(key)?.body;
  if (refusal !== undefined && refusal.endorsement.seq >= release.seq) return true;
  const grant = records.grants.get(key)?.body;
  const last = grant && logChain(records.logs, grantId(grant)).at(-1);
  return last !== undefined && isFinal(last) && last.endorsement.seq >= release.seq;
}

/** Throws `not-eligible` (or `attempt-passed`, `lacks-context`) with what is wrong with the proposal. */
function judge(options: VoterOptions, grant: ComputeGrant): void {
  const { coalition, records, market } = options;
  const { compute, committee } = coalition.file;
  const entry = records.requests.get(toHex(grant.requestId));
  if (entry === undefined)
    throw new BridgeError("lacks-context", "the request is not known here", { retry: "later" });
  const { request } = entry.body;
  const now = records.tick();
  if (request.expiryTick < now.seq) throw no("the request has expired");
  const views = attemptViews(records, grant.requestId);
  // One tick of grace: members see the same tick, and the same request, at slightly different times.
  const due = [now.seq, now.seq + 1].some((tick) => {
    const at = standing(views, entry.arrivalTick, tick, compute.attemptTicks);
    return at.state === "open" && at.attempt === grant.attempt;
  });
  if (!due) throw no(`attempt ${grant.attempt} is not due`);
  if (grant.committeeEpoch !== committee.epoch) throw no("another committee epoch");
  checkTerms(grant, request);
  checkTimes(coalition, grant, request, now);
  checkWinner(market, grant, request, {
    nowTick: now.seq,
    cardTicks: compute.cardTicks,
    excluded: excludedProviders(records, grant.requestId),
    evidence: options.evidence,
  });
}

function checkTerms(grant: ComputeGrant, request: ComputeRequest): void {
  const repeated =
    equal(grant.imageCommitment, request.imageCommitment) &&
    equal(grant.manifestCommitment, request.manifestCommitment) &&
    equal(grant.bearerPointer, request.bearerPointer);
  if (!repeated) throw no("the grant does not repeat the request's commitments");
}

/** Neither more time than the request asked for, nor so little that its provider must refuse it for good. */
function checkTimes(
  { file: { compute, almanac } }: Coalition,
  grant: ComputeGrant,
  { durationMs }: ComputeRequest,
  now: Tick,
): void {
  const asked = now.seq + Math.ceil(durationMs / almanac.periodMs);
  // A proposal is repeated unchanged until its attempt has passed; our tick may be one ahead of the proposer's.
  if (grant.validToTick < asked - 1) throw no("validToTick is too early");
  if (grant.validToTick > asked + compute.attemptTicks + 1) throw no("validToTick is too late");
  const earliestMs = now.timeMs + durationMs - GRANT_TIME_SLACK_MS;
  const latestMs = now.timeMs + durationMs + compute.attemptTicks * almanac.periodMs;
  if (grant.notAfterMs < earliestMs) throw no("notAfterMs is too early");
  if (grant.notAfterMs > latestMs + GRANT_TIME_SLACK_MS) throw no("notAfterMs is too late");
}

function checkWinner(
  market: Market,
  grant: ComputeGrant,
  request: ComputeRequest,
  view: ClearingView,
): void {
  const candidate = market.candidateFor(grant);
  if (candidate === undefined) {
    throw new BridgeError("lacks-context", "the provider's card is not known here", {
      retry: "later",
    });
  }
  const offer = candidate.card.offers.find((one) => equal(one.offerId, grant.offerId));
  if (offer === undefined) throw no("the provider no longer makes this offer");
  if (offer.pricePerHourMicros !== grant.pricePerHourMicros)
    throw no("the price is not the offer's");
  const reason = ineligible(candidate, offer, request, view);
  if (reason !== undefined) throw no(`the offer is not eligible here: ${reason}`);
}

function no(message: string): BridgeError {
  return new BridgeError("not-eligible", message);
}
