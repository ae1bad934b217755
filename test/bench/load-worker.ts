/**
 * The requesters, all in one process: each request has one-time keys of its own, and its own receipt is opened and
 * acknowledged. Requests are composed before the clock runs, because sealing costs more than anything else here.
 */
import { equal, fromHex, toHex } from "../../src/base/bytes.ts";
import { systemClock } from "../../src/base/clock.ts";
import { randomSeed, signingKey } from "../../src/base/ed25519.ts";
import { kemKeyPair } from "../../src/base/hpke.ts";
import { ATTEMPTS_MAX } from "../../src/base/limits.ts";
import { stderrLogger } from "../../src/base/log.ts";
import type { RegionClass } from "../../src/coalition/classes.ts";
import { type Coalition, readCoalition } from "../../src/coalition/config.ts";
import { type ComputeGrant, grantId } from "../../src/coalition/grant.ts";
import { isFinal } from "../../src/coalition/log.ts";
import { type CoalitionRecords, coalitionRecords } from "../../src/coalition/records.ts";
import { type Joined, joinNetwork } from "../../src/network/join.ts";
import { signRecord } from "../../src/network/record.ts";
import { openReply } from "../../src/receipt/receipt.ts";
import {
  allCollections,
  type BoardRecords,
  boardRecords,
  type Reply,
  replyKey,
  replyTag,
} from "../../src/zipnet/board.ts";
import { type Composed, composeRequest } from "../../src/zipnet/compose.ts";
import { packRequest } from "../../src/zipnet/message.ts";
import { directTransport } from "../../src/zipnet/transport.ts";
import { testOrder } from "../support/actors.ts";
import { serve } from "./worker.ts";

export interface LoadRun {
  readonly regionClass: RegionClass;
  readonly count: number;
  /** Requests are sent at this rate, however the earlier ones fare … */
  readonly perSecond: number;
  /** … but never while so many have no final log yet. */
  readonly openMax: number;
  /** A run that has not ended by then ends anyway, and what is missing counts as lost. */
  readonly withinMs: number;
}

export interface LoadResult {
  readonly sent: number;
  /** The committee gives up a request for which nobody has had a place for 18 ticks. */
  readonly granted: number;
  readonly receipts: number;
  /** Grants that were answered more than once, with a receipt or a final log. */
  readonly twice: number;
  readonly finalLogs: number;
  readonly refusals: { readonly [code: string]: number };
  /** Of the granted, those that were refused in the end, which is an answer … */
  readonly refused: number;
  /** … and those that have neither a refusal nor both a receipt and a final log. */
  readonly lost: number;
  readonly elapsedMs: number;
}

interface Followed {
  readonly state: Composed["state"];
  readonly message: Uint8Array;
  sentMs: number;
  granted: boolean;
  receipts: number;
  finals: number;
  refused: boolean;
}

interface Session {
  readonly coalition: Coalition;
  readonly records: CoalitionRecords;
  readonly board: BoardRecords;
  readonly network: Joined;
}

const NEVER = new AbortController().signal;
const LOOK_MS = 20;
const REQUEST_MINUTES = 15;
/** A request without a grant after twice the ticks of all its attempts will get none. */
const GRANT_WITHIN_TICKS = 2 * 6 * ATTEMPTS_MAX;

let session: Session | undefined;
/** By request id. */
const followed = new Map<string, Followed>();
/** By the place on the board where the receipt will stand. */
const expected = new Map<string, { readonly one: Followed; readonly grant: ComputeGrant }>();
let refusals: Record<string, number> = {};

const calls = {
  async join({ coalitionFile }: { coalitionFile: string }): Promise<void> {
    const coalition = readCoalition(coalitionFile);
    const records = coalitionRecords(coalition);
    const board = boardRecords(coalition, records);
    const network = await joinNetwork({
      ...{ network: coalition.network, seed: randomSeed(), listen: [], announce: [] },
      bootstrap: coalition.members.flatMap((member) => member.addresses),
      collections: allCollections(records, board),
      tick: () => records.tick().seq,
      ...{ clock: systemClock, log: stderrLogger("error") },
    });
    const members = coalition.members.map((member) => member.peer);
    await network.replica.converged(members, members.length, NEVER);
    session = { coalition, records, board, network };
    follow(session);
  },
  run,
  /** Of the run under way: requests with a receipt, and requests for which nothing more will come. */
  progress() {
    const all = [...followed.values()].filter((one) => one.sentMs > 0);
    return {
      receipts: all.filter((one) => one.receipts > 0).length,
      over: all.filter(isOver).length,
    };
  },
};
export type LoadCalls = typeof calls;

async function run(options: LoadRun): Promise<LoadResult> {
  const { coalition, network } = joined();
  const { count, perSecond, openMax, withinMs } = options;
  const requests = Array.from({ length: count }, () => compose(options.regionClass));
  const transport = directTransport(network.replica.transport, coalition);
  refusals = {};
  const startMs = performance.now();
  const open = (): number => requests.slice(0, sent).filter((one) => !isOver(one)).length;
  let sent = 0;
  while (performance.now() - startMs < withinMs) {
    const due = Math.min(count, 1 + Math.floor(((performance.now() - startMs) / 1000) * perSecond));
    for (let room = openMax - open(); sent < due && room > 0; room -= 1) {
      const one = requests[sent];
      sent += 1;
      if (one === undefined) break;
      one.sentMs = performance.now();
      void transport.send(one.message, NEVER).catch(reportFailure);
    }
    if (sent === count && open() === 0) break;
    await systemClock.sleep(LOOK_MS);
  }
  const granted = requests.filter((one) => one.granted);
  const result: LoadResult = {
    sent,
    granted: granted.length,
    receipts: requests.filter((one) => one.receipts > 0).length,
    twice: requests.filter((one) => one.receipts > 1 || one.finals > 1).length,
    finalLogs: requests.filter((one) => one.finals > 0).length,
    refusals,
    refused: granted.filter((one) => one.refused && one.receipts === 0).length,
    lost: granted.filter((one) => !one.refused && (one.receipts === 0 || one.finals === 0)).length,
    elapsedMs: performance.now() - startMs,
  };
  followed.clear();
  expected.clear();
  return result;
}

function compose(regionClass: RegionClass): Followed {
  const { coalition, records } = joined();
  const order = testOrder({
    regionClass,
    durationMs: REQUEST_MINUTES * 60_000,
    patienceTicks: coalition.file.compute.requestTicks,
  });
  const { record, state } = composeRequest(coalition, order, records.tick().seq);
  const message = packRequest(record);
  const none = { sentMs: 0, granted: false, receipts: 0, finals: 0, refused: false };
  const one: Followed = { state, message, ...none };
  followed.set(state.requestId, one);
  return one;
}

function follow({ coalition, records, board, network }: Session): void {
  records.grants.subscribe(({ body: grant }) => {
    const one = followed.get(toHex(grant.requestId));
    if (one === undefined) return;
    one.granted = true;
    const tag = replyTag(fromHex(one.state.secret), grant.attempt, "receipt");
    expected.set(replyKey({ providerId: grant.providerId, tag }), { one, grant });
  });
  board.replies.subscribe(({ key, body: reply }) => {
    const found = expected.get(key);
    if (found === undefined) return;
    openReceipt(found.one, found.grant, reply);
    const ackKey = signingKey(fromHex(found.one.state.ackSeed));
    const ack = { v: 1, providerId: reply.providerId, tag: reply.tag };
    const members = coalition.members.map((member) => member.peer);
    void network.replica
      .confirm(signRecord(ackKey, coalition.network, "ack", ack), members, 1, NEVER)
      .catch(reportFailure);
  });
  records.logs.subscribe(({ body: log }) => {
    const one = followed.get(toHex(log.requestId));
    if (one !== undefined && isFinal(log)) one.finals += 1;
  });
  records.refusals.subscribe(({ body: refusal }) => {
    const one = followed.get(toHex(refusal.requestId));
    if (one === undefined) return;
    one.refused = true;
    refusals[refusal.code] = (refusals[refusal.code] ?? 0) + 1;
  });
}

/** Throws, and so ends this process, when a reply that is ours is not a receipt for our grant. */
function openReceipt(one: Followed, grant: ComputeGrant, reply: Reply): void {
  const kem = kemKeyPair(fromHex(one.state.kemSeed));
  const content = openReply(reply.sealed, grant, kem, reply.endorsement.bootKey);
  if (content.kind !== "receipt" || !equal(content.grantId, grantId(grant)))
    throw new Error("a reply that is no receipt of this grant");
  one.receipts += 1;
}

function isOver(one: Followed): boolean {
  const { periodMs } = joined().coalition.file.almanac;
  const givenUp = !one.granted && performance.now() - one.sentMs > GRANT_WITHIN_TICKS * periodMs;
  return one.finals > 0 || one.refused || givenUp;
}

function reportFailure(error: unknown): void {
  stderrLogger("error").warn("load", { error });
}

function joined(): Session {
  if (session === undefined) throw new Error("the load has not joined");
  return session;
}

if (import.meta.main) serve(calls);
