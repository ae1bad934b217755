/** Requests and grants: what every node can check alone. */
import { beforeAll, describe, expect, test } from "bun:test";
import { type Bytes32, toHex } from "../../src/base/bytes.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { MINUTE_MS } from "../../src/base/limits.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import { attemptKey } from "../../src/coalition/ids.ts";
import {
  type ComputeRequest,
  checkRequest,
  type RequestMessage,
  requestId,
} from "../../src/coalition/request.ts";
import { encodeRecord, type SignedRecord, signRecord } from "../../src/network/record.ts";
import { type Composed, composeRequest } from "../../src/zipnet/compose.ts";
import { grantOf, providerActor, testOrder } from "../support/actors.ts";
import { flipped } from "../support/arbitraries.ts";
import {
  alteredCoalition,
  keyNamed,
  seedNamed,
  signGrant,
  testCeremony,
} from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { type RecordBook, recordBook, tickTo } from "./book.ts";

const ceremony = testCeremony();
const { coalition } = ceremony;
const { requestTicks, keepTicks } = coalition.file.compute;
const alpha = providerActor(coalition, "alpha");
const beta = providerActor(coalition, "beta");
const NOW = 10;

function book(): RecordBook {
  const made = recordBook(coalition);
  tickTo(made, NOW);
  return made;
}

function composed(patienceTicks = 50): Composed {
  return composeRequest(coalition, testOrder({ patienceTicks }), NOW);
}

/** The request with its public half changed and signed again by the key it names, or by another. */
function requestRecord(
  change: (message: RequestMessage) => RequestMessage,
  signer?: string,
): SignedRecord {
  const key = keyNamed("one-time");
  const { record } = composed();
  const body = change(messageOf(record));
  const named = { ...body, request: { ...body.request, key: key.publicKey } };
  return signRecord(
    signer === undefined ? key : keyNamed(signer),
    coalition.network,
    "request",
    named,
  );
}

function messageOf(record: SignedRecord): RequestMessage {
  const at = book();
  at.offer(record);
  const [entry] = at.records.requests.values();
  if (entry === undefined) throw new Error("the request was not taken");
  return entry.body;
}

const withRequest =
  (change: Partial<ComputeRequest>) =>
  (message: RequestMessage): RequestMessage => ({
    ...message,
    request: { ...message.request, ...change },
  });

describe("a request", () => {
  const cases: readonly [name: string, record: () => SignedRecord, code: ErrorCode | undefined][] =
    [
      ["as our client composes it is taken", () => composed().record, undefined],
      ["signed by another key than it names", () => requestRecord((m) => m, "thief"), "wrong-key"],
      [
        "with a shape outside the classes",
        () =>
          requestRecord(withRequest({ shape: { cpuMillicores: 251, ramMib: 256, storageGib: 1 } })),
        "wrong-schema",
      ],
      [
        "with a duration outside the classes",
        () => requestRecord(withRequest({ durationMs: MINUTE_MS + 1 })),
        "wrong-schema",
      ],
      [
        "whose pointer is not the hash of its envelope",
        () => requestRecord(withRequest({ bearerPointer: seedNamed("x") })),
        "wrong-schema",
      ],
      [
        "whose envelope was altered",
        () => requestRecord((m) => ({ ...m, sealed: flipped(m.sealed, 9) })),
        "wrong-schema",
      ],
      [
        "with a short envelope",
        () => requestRecord((m) => ({ ...m, sealed: m.sealed.slice(1) })),
        "wrong-schema",
      ],
      [
        "with an unlisted region",
        () => requestRecord(withRequest({ regionClass: "mars" as never })),
        "wrong-schema",
      ],
      [
        "with five releases",
        () =>
          requestRecord(
            withRequest({
              accept: {
                releases: Array(5).fill(seedNamed("r")),
                providerTee: "none",
                tcb: "unattested",
              },
            }),
          ),
        "wrong-schema",
      ],
      [
        "with more options than a slot holds",
        () =>
          requestRecord(
            withRequest({
              settlement: new Uint8Array(64),
              accept: {
                releases: Array(4).fill(seedNamed("r")),
                providerTee: "none",
                tcb: "unattested",
              },
            }),
          ),
        "too-large",
      ],
      [
        "that waits as long as allowed is taken",
        () => requestRecord(withRequest({ expiryTick: NOW + requestTicks })),
        undefined,
      ],
      [
        "that waits one tick longer",
        () => requestRecord(withRequest({ expiryTick: NOW + requestTicks + 1 })),
        "lacks-context",
      ],
      [
        "that names a member of the coalition",
        () => requestRecord(withRequest({ member: 1 } as never)),
        "wrong-schema",
      ],
    ];
  for (const [name, record, code] of cases) {
    test(`${name}${code === undefined ? "" : `: ${code}`}`, () =>
      expect(book().code(record())).toBe(code as never));
  }

  test("that exceeds the message is refused by its own check, too", () => {
    const message = messageOf(composed().record);
    const large = { ...message, request: { ...message.request, settlement: new Uint8Array(400) } };
    expect(codeThrownBy(() => checkRequest(large))).toBe("too-large");
  });

  test("is one per one-time key", () => {
    const at = book();
    at.offer(requestRecord((m) => m));
    expect(at.code(requestRecord(withRequest({ maxPricePerHourMicros: 1 })))).toBe("over-quota");
    expect(at.records.requests.size).toBe(1);
  });

  const keptUntil = (at: RecordBook, record: SignedRecord, last: number): void => {
    tickTo(at, last);
    at.store.sweep();
    expect(at.records.requests.size).toBe(1);
    tickTo(at, last + 1);
    at.store.sweep();
    expect([at.records.requests.size, at.code(record)]).toEqual([0, "expired"]);
  };

  test("stands under its id, and goes soon after nobody was granted it", () => {
    const at = book();
    const { record, request } = composed();
    at.offer(record);
    expect(at.records.requests.get(toHex(requestId(request)))?.body.request).toEqual(request);
    keptUntil(at, record, request.expiryTick + coalition.file.compute.attemptTicks);
  });

  test("stands as long as the latest of its grants, whichever came first", async () => {
    const { record, request } = composed();
    const granted = grantOf(coalition, request, alpha.card(), { validToTick: NOW + 500 });
    const grants = [
      await signGrant(ceremony, { ...granted, validToTick: NOW + 400 }),
      await signGrant(ceremony, { ...granted, attempt: 2 }),
    ];
    for (const order of [
      [record, ...grants],
      [...grants, record],
    ]) {
      const at = book();
      for (const one of order) at.offer(one);
      keptUntil(at, record, NOW + 500 + keepTicks);
    }
  });

  test("with a reply key nothing can be sealed to: wrong-schema", () => {
    const zero = new Uint8Array(32) as Bytes32;
    expect(book().code(requestRecord(withRequest({ replyKey: zero })))).toBe("wrong-schema");
  });
});

describe("a grant", () => {
  const { request } = composed();
  const grant = grantOf(coalition, request, alpha.card());
  let record: SignedRecord;
  beforeAll(async () => {
    record = await signGrant(ceremony, grant);
  });

  test("under the committee's signature is taken, whichever members made it", async () => {
    expect(book().code(record)).toBeUndefined();
    expect(book().code(await signGrant(ceremony, grant, [2, 3]))).toBeUndefined();
  });

  test("under anybody else's signature is not", () => {
    for (const name of ["member 1", "operator"]) {
      expect(book().code(signRecord(keyNamed(name), coalition.network, "grant", grant))).toBe(
        "wrong-key",
      );
    }
    expect(book().code(signRecord(alpha.boot, coalition.network, "grant", grant))).toBe(
      "wrong-key",
    );
  });

  test("with any term changed after signing breaks its signature", () => {
    const at = book();
    const changes: Partial<ComputeGrant>[] = [
      { attempt: 2 },
      { providerId: beta.id },
      { pricePerHourMicros: 0 },
      { validToTick: 99_999 },
    ];
    for (const change of changes) {
      const { body } = signRecord(alpha.boot, coalition.network, "grant", { ...grant, ...change });
      expect(at.code(encodeRecord({ ...record, body }))).toBe("bad-signature");
    }
  });

  test("of a committee epoch that our file does not know yet waits", async () => {
    const later = await signGrant(ceremony, { ...grant, committeeEpoch: 2 });
    expect(book().code(later)).toBe("lacks-context");
    const next = alteredCoalition(ceremony, (file) => ({
      ...file,
      committee: { ...file.committee, epoch: 2 },
    }));
    for (const one of [later, record]) {
      const at = recordBook(next);
      tickTo(at, NOW);
      expect(at.code(one)).toBeUndefined(); // one of the epoch before was valid at its time
    }
  });

  test("of an attempt beyond the third is none", async () => {
    expect(book().code(await signGrant(ceremony, { ...grant, attempt: 4 }))).toBe("wrong-schema");
  });

  test("signed twice stands once, and everywhere the same one", async () => {
    const other = await signGrant(ceremony, grant, [2, 3]);
    const ids = [
      [record, other],
      [other, record],
    ].map((order) => {
      const at = book();
      for (const one of order) at.code(one);
      expect(at.records.grants.size).toBe(1);
      return toHex(at.records.grants.get(attemptKey(grant.requestId, 1))?.id ?? new Uint8Array());
    });
    expect(ids[0]).toBe(ids[1]);
  });
});
