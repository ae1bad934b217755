/** A provider's answers to a grant: admissions and refusals. */
import { beforeAll, describe, expect, test } from "bun:test";
import type { SignedRecord } from "../../src/network/record.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { grantOf, providerActor, testOrder } from "../support/actors.ts";
import { seedNamed, signGrant, testCeremony } from "../support/coalition.ts";
import { type RecordBook, recordBook, tickTo } from "./book.ts";

const ceremony = testCeremony();
const { coalition } = ceremony;
const { keepTicks } = coalition.file.compute;
const alpha = providerActor(coalition, "alpha");
const beta = providerActor(coalition, "beta");
const NOW = 10;

function book(): RecordBook {
  const made = recordBook(coalition);
  tickTo(made, NOW);
  return made;
}

describe("an answer to a grant", () => {
  const { request } = composeRequest(coalition, testOrder(), NOW);
  const grant = grantOf(coalition, request, alpha.card());
  let record: SignedRecord;
  beforeAll(async () => {
    record = await signGrant(ceremony, grant);
  });
  function granted(): RecordBook {
    const at = book();
    at.offer(record);
    return at;
  }

  for (const kind of ["admission", "refusal"] as const) {
    const body = (change: object = {}, actor = alpha): object =>
      kind === "admission" ? actor.admission(grant, change) : actor.refusal(grant, "busy", change);

    test(`(${kind}) of the provider that holds it is taken`, () => {
      expect(granted().code(alpha.sign(kind, body()))).toBeUndefined();
    });

    test(`(${kind}) waits until the grant is known`, () => {
      expect(book().code(alpha.sign(kind, body()))).toBe("lacks-context");
      expect(granted().code(alpha.sign(kind, body({ attempt: 2 })))).toBe("lacks-context");
    });

    test(`(${kind}) of another provider, or about another grant, is not granted`, () => {
      expect(granted().code(beta.sign(kind, body({}, beta)))).toBe("not-granted");
      expect(granted().code(alpha.sign(kind, body({ grantId: seedNamed("other") })))).toBe(
        "not-granted",
      );
    });

    test(`(${kind}) needs a good endorsement`, () => {
      expect(granted().code(beta.sign(kind, body()))).toBe("not-endorsed");
      const forged = { ...alpha.endorsement, seq: 7 };
      expect(granted().code(alpha.sign(kind, body({ endorsement: forged })))).toBe("not-endorsed");
    });

    test(`(${kind}) under a lapsed endorsement stays valid: it is judged at its own time`, () => {
      const lapsed = alpha.instance(1, 5);
      expect(granted().code(lapsed.sign(kind, body({}, lapsed)))).toBeUndefined();
    });

    test(`(${kind}) of a newer instance replaces the older one's`, () => {
      const at = granted();
      const second = alpha.instance(2);
      at.offer(second.sign(kind, body({}, second)));
      expect(at.code(alpha.sign(kind, body()))).toBe("stale-epoch");
    });

    test(`(${kind}) lives as long as the grant's other records`, () => {
      const at = granted();
      at.offer(alpha.sign(kind, body()));
      const collection = kind === "admission" ? at.records.admissions : at.records.refusals;
      tickTo(at, grant.validToTick + keepTicks);
      at.store.sweep();
      expect([collection.size, at.records.grants.size]).toEqual([1, 1]);
      tickTo(at, grant.validToTick + keepTicks + 1);
      at.store.sweep();
      expect([collection.size, at.records.grants.size]).toEqual([0, 0]);
    });
  }

  test("refuses with a listed code only", () => {
    expect(granted().code(alpha.sign("refusal", alpha.refusal(grant, "bored" as never)))).toBe(
      "wrong-schema",
    );
  });
});
