/**
 * Sees everything and checks it: what members vote and release, what providers sign, what clouds create. What must never
 * happen is checked at the moment it would; a breach is kept with its time and ends the run.
 */
import { toHex } from "../../src/base/bytes.ts";
import type { ComputeGrant, Refusal } from "../../src/coalition/grant.ts";
import { grantId, isRegrantable } from "../../src/coalition/grant.ts";
import { type ComputeLog, isFinal } from "../../src/coalition/log.ts";
import type { CoalitionRecords } from "../../src/coalition/records.ts";
import type { CloudMachine } from "./cloud.ts";

/** What happened in a run; names that end in `Max` are no sums. */
export interface Counts {
  requests: number;
  grants: number;
  attemptsMax: number;
  machines: number;
  machinesPerRequestMax: number;
  receipts: number;
  logs: number;
  refusals: number;
  crashes: number;
  partitions: number;
  /** All others: of clouds, disks, clocks and messages, and the moments chosen for them. */
  faults: number;
}

export interface Observer {
  readonly counts: Counts;
  readonly breaches: readonly string[];
  readonly trace: readonly string[];
  note(what: string): void;
  breach(what: string): void;
  /** Follows what reaches this node's collections; every node is followed. */
  follow(records: CoalitionRecords): void;
  voted(member: number, grant: ComputeGrant): void;
  released(member: number, grant: ComputeGrant, seq: number): void;
  /** A requester has read its receipt. */
  served(grant: ComputeGrant): void;
  created(machine: CloudMachine): void;
  /** Whether the machine belongs to a request we know, and which. */
  requestOf(machine: CloudMachine): string | undefined;
  /** Everything signed about a grant, by grant id in hex. */
  readonly answers: ReadonlyMap<string, Answers>;
  readonly grants: ReadonlyMap<string, ComputeGrant>;
  /** For faults that come at the worst moment. */
  onGrant: (grant: ComputeGrant) => void;
  /** The member has voted, and its vote is on its way. */
  onVote: (grant: ComputeGrant, member: number) => void;
  /** The member has released its share for this grant for the first time. */
  onShare: (grant: ComputeGrant, member: number) => void;
}

export interface Answers {
  admitted: boolean;
  readonly refusals: Map<number, Refusal>;
  readonly finals: Map<number, ComputeLog>;
}

/** Ids as short as a person needs them to tell them apart in a trace. */
export const short = (id: Uint8Array | string): string =>
  (typeof id === "string" ? id : toHex(id)).slice(0, 6);

export function createObserver(
  nowMs: () => number,
  machinesOf: (grantId: string) => readonly CloudMachine[],
): Observer {
  const startMs = nowMs();
  const trace: string[] = [];
  const breaches: string[] = [];
  const grants = new Map<string, ComputeGrant>();
  const answers = new Map<string, Answers>();
  /** `member/request/attempt` → grant id. */
  const votes = new Map<string, string>();
  /** `member/request` → what it has released, by attempt. */
  const releases = new Map<string, Map<number, { grant: string; seq: number }>>();
  /** request → providers in the order in which they spent. */
  const spenders = new Map<string, Set<string>>();
  /** Grants whose receipt has been read. */
  const served = new Set<string>();
  const counts: Counts = {
    requests: 0,
    grants: 0,
    attemptsMax: 0,
    machines: 0,
    machinesPerRequestMax: 0,
    receipts: 0,
    logs: 0,
    refusals: 0,
    crashes: 0,
    partitions: 0,
    faults: 0,
  };
  const stamp = (what: string): string => `${((nowMs() - startMs) / 1000).toFixed(3)} ${what}`;
  const note = (what: string): void => void trace.push(stamp(what));
  const breach = (what: string): void => {
    breaches.push(stamp(what));
    note(`BREACH ${what}`);
  };
  const answersOf = (id: string): Answers => {
    const known = answers.get(id) ?? { admitted: false, refusals: new Map(), finals: new Map() };
    answers.set(id, known);
    return known;
  };
  const lasting = (id: string): CloudMachine[] =>
    machinesOf(id).filter(({ state }) => state !== "gone");

  const observer: Observer = {
    counts,
    breaches,
    onGrant: () => {},
    onVote: () => {},
    onShare: () => {},
    trace,
    note,
    breach,
    grants,
    answers,
    follow(records) {
      records.grants.subscribe(({ body }) => {
        const id = toHex(grantId(body));
        if (grants.has(id)) return;
        grants.set(id, body);
        counts.grants += 1;
        counts.attemptsMax = Math.max(counts.attemptsMax, body.attempt);
        for (const [other, grant] of grants) {
          const same = toHex(grant.requestId) === toHex(body.requestId);
          if (other !== id && same && grant.attempt === body.attempt)
            breach(`two grants of attempt ${body.attempt} of ${short(body.requestId)}`);
        }
        note(`grant ${short(body.requestId)} attempt ${body.attempt} to ${short(body.providerId)}`);
        observer.onGrant(body);
      });
      records.admissions.subscribe(({ body }) => {
        answersOf(toHex(body.grantId)).admitted = true;
      });
      records.refusals.subscribe(({ body }) => refused(body));
      records.logs.subscribe(({ body }) => {
        if (isFinal(body)) ended(body);
      });
    },
    voted,
    released,
    served: (grant) => void served.add(toHex(grantId(grant))),
    created,
    requestOf: ({ order }) => {
      const grant = grants.get(order.tags.grantId);
      return grant && toHex(grant.requestId);
    },
  };
  return observer;

  function refused(body: Refusal): void {
    const id = toHex(body.grantId);
    const known = answersOf(id);
    if (known.refusals.has(body.endorsement.seq)) return;
    known.refusals.set(body.endorsement.seq, body);
    counts.refusals += 1;
    note(`refusal ${short(body.requestId)} attempt ${body.attempt} ${body.code}`);
    if (lasting(id).length > 0) breach(`refused ${short(body.requestId)} while a machine lasts`);
    if (known.finals.size > 0) breach(`refused ${short(body.requestId)} after its final log`);
    if (served.has(id) && isRegrantable(body.code))
      breach(`${short(body.requestId)} was served, and is to be granted again`);
  }

  function ended(body: ComputeLog): void {
    const id = toHex(body.grantId);
    const known = answersOf(id);
    if (known.finals.has(body.endorsement.seq)) return;
    const before = [...known.finals.values()][0];
    known.finals.set(body.endorsement.seq, body);
    counts.logs += before === undefined ? 1 : 0;
    note(`final log ${short(body.requestId)} attempt ${body.attempt} ${body.status}`);
    if (lasting(id).length > 0) breach(`closed ${short(body.requestId)} while a machine lasts`);
    if (body.status !== "invalid" && known.refusals.size > 0)
      breach(`a final log for ${short(body.requestId)} after its refusal`);
    if (before !== undefined && before.seq !== body.seq)
      breach(`two final logs in one chain of ${short(body.requestId)}`);
  }

  function isOver(id: string, seq: number): boolean {
    const known = answersOf(id);
    return [...known.refusals.keys(), ...known.finals.keys()].some((signed) => signed >= seq);
  }

  function voted(member: number, grant: ComputeGrant): void {
    const [request, id] = [toHex(grant.requestId), toHex(grantId(grant))];
    const key = `${member}/${request}/${grant.attempt}`;
    const before = votes.get(key);
    votes.set(key, id);
    if (before === id) return;
    note(`vote of ${member} for ${short(request)} attempt ${grant.attempt}`);
    if (before !== undefined) breach(`member ${member} voted twice in attempt ${grant.attempt}`);
    for (const [attempt, held] of releases.get(`${member}/${request}`) ?? []) {
      if (attempt < grant.attempt && !isOver(held.grant, held.seq))
        breach(`member ${member} broke its lock on attempt ${attempt} of ${short(request)}`);
    }
    observer.onVote(grant, member);
  }

  function released(member: number, grant: ComputeGrant, seq: number): void {
    const [request, id] = [toHex(grant.requestId), toHex(grantId(grant))];
    const held = releases.get(`${member}/${request}`) ?? new Map();
    releases.set(`${member}/${request}`, held);
    if (held.get(grant.attempt)?.seq !== seq)
      note(`share of ${member} for ${short(request)} attempt ${grant.attempt} seq ${seq}`);
    const before = held.get(grant.attempt);
    if (before !== undefined && before.grant !== id)
      breach(`member ${member} released attempt ${grant.attempt} to two providers`);
    held.set(grant.attempt, { grant: id, seq: Math.max(seq, before?.seq ?? 0) });
    if (before === undefined) observer.onShare(grant, member);
    for (let later = grant.attempt + 1; later <= 3; later += 1) {
      if (votes.has(`${member}/${request}/${later}`))
        breach(`member ${member} released attempt ${grant.attempt} after its vote for ${later}`);
    }
  }

  function created(machine: CloudMachine): void {
    const { tags } = machine.order;
    counts.machines += 1;
    const grant = grants.get(tags.grantId);
    if (grant === undefined) {
      breach("a machine for a grant nobody has seen");
      return;
    }
    const request = toHex(grant.requestId);
    note(
      `machine for ${short(request)} attempt ${grant.attempt} try ${tags.try} at ${machine.account}`,
    );
    const siblings = [...grants].filter(([, other]) => toHex(other.requestId) === request);
    const up = siblings.flatMap(([id]) => lasting(id));
    counts.machinesPerRequestMax = Math.max(counts.machinesPerRequestMax, up.length);
    if (up.length > 1) breach(`${up.length} machines at once for ${short(request)}`);
    const earlier = spenders.get(request) ?? new Set<string>();
    for (const other of earlier) {
      if (other !== tags.grantId && answersOf(other).refusals.size === 0)
        breach(`a second provider spends on ${short(request)} without the first's refusal`);
    }
    spenders.set(request, earlier.add(tags.grantId));
  }
}
