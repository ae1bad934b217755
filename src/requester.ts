/**
 * The requester's side, step by step: join with a throw-away identity, look at the candidates, send one sealed request,
 * follow the public records, find the reply that only we can recognise, open and check it, acknowledge.
 */
import { type Verdict, verdictOnCard } from "./attestation/verdict.ts";
import { equal, fromHex, toHex } from "./base/bytes.ts";
import type { Clock } from "./base/clock.ts";
import { randomSeed, signingKey } from "./base/ed25519.ts";
import type { Logger } from "./base/log.ts";
import type { ProviderCard } from "./coalition/card.ts";
import type { Coalition, Member } from "./coalition/config.ts";
import type { ComputeGrant } from "./coalition/grant.ts";
import type { ComputeLog } from "./coalition/log.ts";
import { reachMembers } from "./coalition/reach.ts";
import { type CoalitionRecords, coalitionRecords } from "./coalition/records.ts";
import { type Join, type Joined, joinNetwork } from "./network/join.ts";
import { encodeRecord, signRecord } from "./network/record.ts";
import { awaitLog, awaitReceipt, type Outcome, type Progress } from "./receipt/await.ts";
import { type Ack, allCollections, boardRecords } from "./zipnet/board.ts";
import { composeRequest, type Order, type RequestState, seedOf } from "./zipnet/compose.ts";
import { packRequest, unpackRequest } from "./zipnet/message.ts";
import { directTransport, type RequestTransport } from "./zipnet/transport.ts";

export type { Outcome, Progress };

export interface RequesterOptions {
  readonly coalition: Coalition;
  readonly clock: Clock;
  readonly log: Logger;
  readonly join?: Join;
  /** With somebody who waits: told who does not answer, and joining gives up with `unreachable` after a bound. */
  readonly onSilent?: (silent: readonly Member[]) => void;
}

export interface CandidateView {
  readonly card: ProviderCard;
  readonly verdict: Verdict;
}

export interface Requester {
  readonly network: Joined;
  readonly records: CoalitionRecords;
  readonly transport: RequestTransport;
  /** Providers with a current card, and what can be concluded about each. */
  candidates(): readonly CandidateView[];
  /** What can be concluded about one provider; without its card nothing was shown, so it is undecided. */
  verdictOn(providerId: Uint8Array): Verdict;
  /** Composes a request; nothing leaves this machine yet. Save the state before sending. */
  compose(order: Order): RequestState;
  send(state: RequestState, signal: AbortSignal): Promise<void>;
  /** Throws `attempts-exhausted`, `no-grant`, or the final refusal as `not-eligible`. */
  awaitReceipt(
    state: RequestState,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Outcome>;
  /** Tells the provider that the receipt has arrived, so that it stops posting it again. */
  acknowledge(state: RequestState, outcome: Outcome, signal: AbortSignal): Promise<void>;
  /** The grant's final log entry. */
  awaitLog(grant: ComputeGrant, signal: AbortSignal): Promise<ComputeLog>;
  leave(): Promise<void>;
}

export async function joinAsRequester(
  options: RequesterOptions,
  signal: AbortSignal,
): Promise<Requester> {
  const { coalition, clock, log, join = joinNetwork, onSilent } = options;
  const records = coalitionRecords(coalition);
  const board = boardRecords(coalition, records);
  const network = await join({
    network: coalition.network,
    seed: randomSeed(),
    listen: [],
    announce: [],
    bootstrap: coalition.members.flatMap((member) => member.addresses),
    collections: allCollections(records, board),
    tick: () => records.tick().seq,
    clock,
    log,
  });
  const { replica } = network;
  const members = coalition.members.map((member) => member.peer);
  const transport = directTransport(replica.transport, coalition);
  const view = { coalition, records, board, clock, log };
  try {
    await reachMembers(
      {
        coalition,
        replica,
        clock,
        need: coalition.file.committee.grantThreshold,
        patience: onSilent === undefined ? "wait" : "give-up",
        onSilent: onSilent ?? (() => {}),
      },
      signal,
    );
  } catch (error) {
    await network.leave();
    throw error;
  }

  return {
    network,
    records,
    transport,
    candidates() {
      const oldest = records.tick().seq - coalition.file.compute.cardTicks;
      return [...records.cards.values()]
        .filter(({ body }) => body.tick >= oldest)
        .map(({ body }) => ({ card: body, verdict: verdictOnCard(body) }));
    },
    verdictOn(providerId) {
      const card = [...records.cards.values()].find(({ body }) =>
        equal(body.providerId, providerId),
      );
      return verdictOnCard(card?.body ?? {});
    },
    compose(order) {
      const { record, state } = composeRequest(coalition, order, records.tick().seq);
      return { ...state, message: toHex(packRequest(record)), sent: false };
    },
    async send(state, until) {
      const message = fromHex(state.message, "message");
      replica.store.offer(encodeRecord(unpackRequest(message, coalition.network)));
      await transport.send(message, until);
    },
    awaitReceipt: (state, onProgress, until) => awaitReceipt(view, state, onProgress, until),
    async acknowledge(state, { grant: { providerId }, tag }, until) {
      const key = signingKey(seedOf(state, "ackSeed"));
      const ack: Ack = { v: 1, providerId, tag };
      await replica.confirm(signRecord(key, coalition.network, "ack", ack), members, 1, until);
    },
    awaitLog: (grant, until) => awaitLog(view, grant, until),
    leave: () => network.leave(),
  };
}
