/** Members that unseal, each with its own records and ballot, and providers that ask them, on one network in memory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { must } from "../../src/base/assert.ts";
import { encodeCanonical } from "../../src/base/canonical.ts";
import { codeOf } from "../../src/base/errors.ts";
import { HOUR_MS } from "../../src/base/limits.ts";
import { createLogger, silentLogger } from "../../src/base/log.ts";
import { type Ballot, openBallot } from "../../src/coalition/ballot.ts";
import type { Admission, ComputeGrant } from "../../src/coalition/grant.ts";
import type { ComputeRequest, RequestMessage } from "../../src/coalition/request.ts";
import type { Node } from "../../src/network/node.ts";
import { encodeRecord, type SignedRecord } from "../../src/network/record.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { gatherShares } from "../../src/zipnet/gather.ts";
import { SHARE_PROTOCOL, serveUnseal } from "../../src/zipnet/unseal.ts";
import { type RecordBook, recordBook, tickTo } from "../coalition/book.ts";
import { grantOf, type ProviderActor, providerActor, testOrder } from "../support/actors.ts";
import { signGrant, testCeremony } from "../support/coalition.ts";
import { FAKE_START_MS, type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { type MemoryNetwork, memoryNetwork } from "../support/memory-network.ts";

export interface UnsealMember {
  readonly index: number;
  readonly node: Node;
  readonly book: RecordBook;
  readonly ballot: Ballot;
  /** Why it does not accept the provider's evidence; undefined when it does. */
  evidence: string | undefined;
}

export interface Asking {
  readonly admission?: Partial<Admission>;
  /** The records as they go over the wire, if not the good ones. */
  readonly grantBytes?: Uint8Array;
  readonly admissionBytes?: Uint8Array;
}

export interface UnsealRig {
  readonly clock: FakeClock;
  readonly network: MemoryNetwork;
  readonly coalition: ReturnType<typeof testCeremony>["coalition"];
  readonly members: readonly UnsealMember[];
  readonly alpha: ProviderActor;
  readonly request: ComputeRequest;
  readonly message: RequestMessage;
  readonly grant: ComputeGrant;
  readonly grantRecord: SignedRecord;
  /** A provider's node; one per boot key. */
  nodeOf(actor: ProviderActor): Promise<Node>;
  /** Asks member 1 (or another) for its share: the sealed bytes, or the code of the refusal. */
  ask(actor: ProviderActor, asking?: Asking, index?: number): Promise<Uint8Array | string>;
  /** All that a provider does to open the envelope. */
  gather(actor: ProviderActor, signal?: AbortSignal, message?: RequestMessage): Promise<Uint8Array>;
  /** What gathering logs: one JSON line each. */
  readonly lines: readonly string[];
  /** What member 1 has released for this request, as attempt and seq. */
  released(index?: number): readonly string[];
  close(): void;
}

export const NOW_TICK = 10;

export interface RigOptions {
  readonly members?: number;
  readonly threshold?: number;
  /** Members (1-based) that know neither request nor card yet. */
  readonly behind?: readonly number[];
  readonly grant?: Partial<ComputeGrant>;
  /** Changes the request message before it is sealed into the records. */
  readonly forge?: (message: RequestMessage) => SignedRecord;
}

export async function unsealRig(options: RigOptions = {}): Promise<UnsealRig> {
  const ceremony = testCeremony(options);
  const { coalition } = ceremony;
  const clock = fakeClock();
  const network = memoryNetwork(clock, 1);
  const folder = mkdtempSync(join(tmpdir(), "compute-bridge-unseal-"));
  const alpha = providerActor(coalition, "alpha");
  const composed = composeRequest(coalition, testOrder(), NOW_TICK);
  const first = messageIn(composed.record);
  const requestRecord = options.forge?.(first) ?? composed.record;
  const message = messageIn(requestRecord);
  const { request } = message;
  const card = alpha.card({ tick: NOW_TICK });
  const grant = grantOf(coalition, request, card, {
    notAfterMs: FAKE_START_MS + HOUR_MS,
    ...options.grant,
  });
  const grantRecord = await signGrant(ceremony, grant);
  const lines: string[] = [];
  const log = createLogger({
    level: "info",
    format: "json",
    write: (line) => void lines.push(line),
    nowMs: () => clock.nowMs(),
  });
  const nodes = new Map<string, Promise<Node>>();
  const start = (seed: Uint8Array): Promise<Node> =>
    network.startNode({
      seed,
      listen: ["/ip4/127.0.0.1/tcp/1"],
      announce: [],
      bootstrap: [],
      topic: "test",
      clock,
      log: silentLogger,
    });

  const members: UnsealMember[] = [];
  for (const { index, seed, unsealShare } of ceremony.secrets) {
    const book = recordBook(coalition);
    tickTo(book, NOW_TICK, ceremony);
    if (!options.behind?.includes(index)) {
      book.offer(requestRecord);
      book.offer(alpha.sign("card", card));
    }
    const ballot = openBallot(join(folder, `${index}.db`), () => NOW_TICK, silentLogger);
    const member: UnsealMember = {
      index,
      node: await start(seed),
      book,
      ballot,
      evidence: undefined,
    };
    serveUnseal(member.node, {
      coalition,
      index,
      share: unsealShare,
      records: book.records,
      store: book.store,
      ballot,
      evidence: () => member.evidence,
      nowMs: () => clock.nowMs(),
      log: silentLogger,
    });
    members.push(member);
  }
  const memberOf = (index: number): UnsealMember => must(members[index - 1], "a member's index");
  const nodeOf = async (actor: ProviderActor): Promise<Node> => {
    const key = Buffer.from(actor.boot.publicKey).toString("hex");
    const running = nodes.get(key) ?? start(actor.bootSeed);
    nodes.set(key, running);
    return await running;
  };
  const admissionOf = (actor: ProviderActor, change: Partial<Admission> = {}): Uint8Array =>
    encodeRecord(actor.sign("admission", actor.admission(grant, change)));

  return {
    clock,
    network,
    coalition,
    members,
    alpha,
    request,
    message,
    grant,
    grantRecord,
    lines,
    nodeOf,
    async ask(actor, asking = {}, index = 1) {
      const node = await nodeOf(actor);
      const body = encodeCanonical({
        grant: asking.grantBytes ?? encodeRecord(grantRecord),
        admission: asking.admissionBytes ?? admissionOf(actor, asking.admission),
      });
      const answer = node.request(memberOf(index).node.self, SHARE_PROTOCOL, body, {
        timeoutMs: 1000,
      });
      return await clock.run(answer.catch(codeOf), 5000);
    },
    async gather(actor, signal = new AbortController().signal, of = message) {
      const records = { grant: encodeRecord(grantRecord), admission: admissionOf(actor) };
      const transport = await nodeOf(actor);
      const { kem } = actor;
      const gathering = { transport, coalition, kem, clock, log };
      return await gatherShares(gathering, grant, of, records, signal);
    },
    released: (index = 1) =>
      memberOf(index)
        .ballot.releases(grant.requestId)
        .map(({ attempt, seq }) => `attempt ${attempt}, seq ${seq}`),
    close() {
      for (const { ballot } of members) ballot.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };

  function messageIn(record: SignedRecord): RequestMessage {
    const book = recordBook(coalition);
    tickTo(book, NOW_TICK, ceremony);
    book.offer(record);
    return must([...book.records.requests.values()][0], "a good request").body;
  }
}
