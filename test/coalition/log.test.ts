/** Logs: one hash chain per grant, written by the provider that holds it, closed once. */
import { beforeAll, describe, expect, test } from "bun:test";
import { equal } from "../../src/base/bytes.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { LOG_ENTRIES_MAX } from "../../src/base/limits.ts";
import { logChain } from "../../src/coalition/answers.ts";
import { grantId } from "../../src/coalition/grant.ts";
import { type ComputeLog, isFinal, LOG_STATUSES, logHash } from "../../src/coalition/log.ts";
import type { SignedRecord } from "../../src/network/record.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { grantOf, providerActor, testOrder } from "../support/actors.ts";
import { seedNamed, signGrant, testCeremony } from "../support/coalition.ts";
import { type RecordBook, recordBook, tickTo } from "./book.ts";

const ceremony = testCeremony();
const { coalition } = ceremony;
const alpha = providerActor(coalition, "alpha");
const beta = providerActor(coalition, "beta");
const { request } = composeRequest(coalition, testOrder(), 10);
const grant = grantOf(coalition, request, alpha.card());
let record: SignedRecord;
beforeAll(async () => {
  record = await signGrant(ceremony, grant);
});

function granted(): RecordBook {
  const book = recordBook(coalition);
  tickTo(book, 10);
  book.offer(record);
  return book;
}

const first = alpha.log(grant, "interim");
const second = alpha.log(grant, "interim", first);
const last = alpha.log(grant, "completed", second);

function sign(log: ComputeLog, actor = alpha): SignedRecord {
  return actor.sign("log", log);
}

/** The book after these entries, all of which it takes. */
function holding(...logs: readonly ComputeLog[]): RecordBook {
  const book = granted();
  for (const log of logs) book.offer(sign(log));
  return book;
}

describe("a chain", () => {
  test("grows entry by entry and reads back in order", () => {
    const book = holding(first, second, last);
    expect(logChain(book.records.logs, grantId(grant))).toEqual([first, second, last]);
    expect(logChain(book.records.logs, seedNamed("no grant"))).toEqual([]);
  });

  test("may be closed by its first entry", () => {
    for (const status of ["completed", "expired", "failed", "invalid"] as const) {
      const book = holding(alpha.log(grant, status));
      expect(logChain(book.records.logs, grantId(grant)).map(isFinal)).toEqual([true]);
    }
    expect(LOG_STATUSES.filter((status) => !isFinal({ status }))).toEqual(["interim"]);
  });

  test("goes on under a new instance: entries are linked by content, not by who endorsed them", () => {
    const successor = alpha.instance(2);
    const book = holding(first);
    const next = successor.log(grant, "interim", first);
    expect(book.code(sign(next, successor))).toBeUndefined();
    const endorsedAnew: ComputeLog = { ...first, endorsement: successor.endorsement };
    expect(equal(logHash(first), logHash(endorsedAnew))).toBe(true);
  });

  test("arriving backwards is asked for again and then complete", () => {
    const book = granted();
    const order = [last, second, first];
    expect(order.map((log) => book.code(sign(log)))).toEqual([
      "lacks-context",
      "lacks-context",
      undefined,
    ] as never);
    expect(order.map((log) => book.code(sign(log)))).toEqual([
      "lacks-context",
      undefined,
      undefined,
    ] as never);
    expect(book.code(sign(last))).toBeUndefined();
  });
});

describe("an entry is refused", () => {
  const cases: readonly [
    name: string,
    held: readonly ComputeLog[],
    entry: ComputeLog,
    code: ErrorCode,
  ][] = [
    [
      "with a gap before it",
      [first],
      alpha.log(grant, "interim", { ...first, seq: 1 }),
      "lacks-context",
    ],
    [
      "as the first one with something before it",
      [],
      alpha.log(grant, "interim", undefined, { previous: seedNamed("x") }),
      "wrong-schema",
    ],
    [
      "after another entry than the one that stands",
      [first],
      alpha.log(grant, "interim", { ...first, tick: 99 }),
      "superseded",
    ],
    [
      "after the chain is closed",
      [first, second, last],
      alpha.log(grant, "interim", last),
      "wrong-schema",
    ],
    ["of another provider's grant", [], beta.log(grant, "interim"), "not-granted"],
    [
      "about another grant",
      [],
      alpha.log(grant, "interim", undefined, { grantId: seedNamed("x") }),
      "not-granted",
    ],
    [
      "of an attempt that was not granted",
      [],
      alpha.log(grant, "interim", undefined, { attempt: 2 }),
      "lacks-context",
    ],
    [
      "under a forged endorsement",
      [],
      alpha.log(grant, "interim", undefined, { endorsement: { ...alpha.endorsement, seq: 9 } }),
      "not-endorsed",
    ],
    [
      "beyond the longest chain",
      [],
      alpha.log(grant, "interim", undefined, { seq: LOG_ENTRIES_MAX }),
      "wrong-schema",
    ],
    [
      "with usage below zero",
      [],
      alpha.log(grant, "interim", undefined, { usage: { ...first.usage, cpuCoreMs: -1 } }),
      "wrong-schema",
    ],
    [
      "with a basis nobody knows",
      [],
      alpha.log(grant, "interim", undefined, {
        usage: { ...first.usage, basis: "guessed" as never },
      }),
      "wrong-schema",
    ],
  ];
  for (const [name, held, entry, code] of cases) {
    test(`${name}: ${code}`, () => {
      const book = holding(...held);
      const actor = equal(entry.providerId, beta.id) ? beta : alpha;
      expect(book.code(sign(entry, actor))).toBe(code);
      expect(logChain(book.records.logs, grantId(grant))).toEqual([...held]);
    });
  }

  test("before the grant is known, and taken after it", () => {
    const book = recordBook(coalition);
    expect(book.code(sign(first))).toBe("lacks-context");
    book.offer(record);
    expect(book.code(sign(first))).toBeUndefined();
  });
});

test("two chains of one dishonest provider: every node keeps one first entry, the same one", () => {
  const rival = alpha.log(grant, "interim", undefined, { tick: 2 });
  const chains = [
    [first, second],
    [rival, alpha.log(grant, "interim", rival)],
  ];
  const heads = [chains, chains.toReversed()].map((order) => {
    const book = granted();
    const codes = order.flat().map((log) => book.code(sign(log)));
    // Nothing here may count against the peer that passes it on.
    for (const code of codes) expect([undefined, "superseded"]).toContain(code as never);
    return logChain(book.records.logs, grantId(grant))[0];
  });
  expect(heads[0]).toEqual(heads[1] as never);
});
