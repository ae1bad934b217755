/** A member as an unsealer: whom it gives its share, whom not and why, and what it writes down before. */
import { afterEach, describe, expect, test } from "bun:test";
import { concat } from "../../src/base/bytes.ts";
import { encodeCanonical } from "../../src/base/canonical.ts";
import { codeOf } from "../../src/base/errors.ts";
import { kemKeyPair, open } from "../../src/base/hpke.ts";
import { HOUR_MS } from "../../src/base/limits.ts";
import { bearerPointer } from "../../src/coalition/request.ts";
import { encodeRecord, signRecord } from "../../src/network/record.ts";
import { checkShare } from "../../src/zipnet/tdh2.ts";
import { SHARE_PROTOCOL, shareContext } from "../../src/zipnet/unseal.ts";
import { tickTo } from "../coalition/book.ts";
import { type ProviderActor, providerActor } from "../support/actors.ts";
import { keyNamed, seedNamed, signGrant, testCeremony } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { FAKE_START_MS } from "../support/fake-clock.ts";
import { add, BASE, decode, type Element, encode, times } from "./ristretto-reference.ts";
import { gBar } from "./tdh2-reference.ts";
import { NOW_TICK, type RigOptions, type UnsealRig, unsealRig } from "./unseal-rig.ts";

const { coalition } = testCeremony();
let rig: UnsealRig | undefined;
afterEach(() => rig?.close());

async function made(options?: RigOptions): Promise<UnsealRig> {
  rig = await unsealRig(options);
  return rig;
}

describe("a share", () => {
  test("goes to the grant's provider, sealed to its KEM key, and is good", async () => {
    const at = await made();
    const sealed = await at.ask(at.alpha);
    if (typeof sealed === "string") throw new Error(sealed);
    const share = open(at.alpha.kem, sealed, shareContext(at.grant, 1));
    const key = at.coalition.unsealShareKeys.get(1) ?? share;
    expect(checkShare(key, at.message.sealed, share)).toBe(true);
    expect(at.released()).toEqual(["attempt 1, seq 1"]);
    expect(codeThrownBy(() => open(kemKeyPair(), sealed, shareContext(at.grant, 1)))).toBe(
      "cannot-open",
    );
    expect(codeThrownBy(() => open(at.alpha.kem, sealed, shareContext(at.grant, 2)))).toBe(
      "cannot-open",
    );
    const next = { ...at.grant, attempt: 2 };
    expect(codeThrownBy(() => open(at.alpha.kem, sealed, shareContext(next, 1)))).toBe(
      "cannot-open",
    );
  });

  test("is given again to the same instance, and to a newer one under its own key", async () => {
    const at = await made();
    expect(typeof (await at.ask(at.alpha))).toBe("object");
    expect(typeof (await at.ask(at.alpha))).toBe("object");
    const second = at.alpha.instance(2);
    const sealed = await at.ask(second);
    if (typeof sealed === "string") throw new Error(sealed);
    expect(open(second.kem, sealed, shareContext(at.grant, 1)).length).toBe(96);
    expect(at.released()).toEqual(["attempt 1, seq 2"]);
    expect(await at.ask(at.alpha)).toBe("stale-epoch");
  });

  test("is given although the member holds the same grant under another of the committee's signatures", async () => {
    const at = await made();
    const other = await signGrant(testCeremony(), at.grant, [2, 3]);
    for (const record of [other, at.grantRecord]) at.members[0]?.book.code(record);
    for (const record of [other, at.grantRecord]) {
      expect(typeof (await at.ask(at.alpha, { grantBytes: encodeRecord(record) }))).toBe("object");
    }
  });

  test("is given although the provider signed its admission twice", async () => {
    const at = await made();
    const admissions = [1, 2, 3, 4].map((tick) =>
      encodeRecord(at.alpha.sign("admission", at.alpha.admission(at.grant, { tick }))),
    );
    for (const admissionBytes of admissions) {
      expect(typeof (await at.ask(at.alpha, { admissionBytes }))).toBe("object");
    }
    expect(at.released()).toEqual(["attempt 1, seq 1"]);
  });
});

interface Refusal {
  readonly name: string;
  readonly code: string;
  readonly options?: RigOptions;
  /** Who asks, after preparing what is needed; alpha when left out. */
  readonly prepare?: (at: UnsealRig) => ProviderActor | undefined | Promise<undefined>;
  readonly asking?: (at: UnsealRig) => Parameters<UnsealRig["ask"]>[1];
}

const member = (at: UnsealRig) => at.members[0];
const refusals: readonly Refusal[] = [
  {
    name: "a provider that asks with the granted one's records",
    code: "not-the-provider",
    prepare: ({ coalition }) => providerActor(coalition, "beta"),
    asking: ({ alpha, grant }) => ({
      admissionBytes: encodeRecord(alpha.sign("admission", alpha.admission(grant))),
    }),
  },
  {
    name: "a provider that admits somebody else's grant",
    code: "not-granted",
    prepare: ({ coalition }) => providerActor(coalition, "beta"),
  },
  {
    name: "an admission nobody endorsed",
    code: "not-endorsed",
    asking: ({ alpha }) => ({ admission: { endorsement: { ...alpha.endorsement, seq: 5 } } }),
  },
  {
    name: "a lapsed endorsement",
    code: "expired",
    prepare: ({ alpha }) => alpha.instance(1, FAKE_START_MS - 1),
  },
  {
    name: "an older instance, once a newer one's card is known",
    code: "stale-epoch",
    prepare: (at) => {
      const second = at.alpha.instance(2);
      member(at)?.book.offer(second.sign("card", second.card({ tick: NOW_TICK })));
      return undefined;
    },
  },
  {
    name: "an instance that has announced its stop under a newer one",
    code: "stale-epoch",
    prepare: (at) => {
      const second = at.alpha.instance(2);
      member(at)?.book.offer(second.sign("marker", second.marker("stop")));
      return undefined;
    },
  },
  {
    name: "a provider that has refused the grant, whichever instance asks",
    code: "attempt-passed",
    prepare: (at) => {
      const book = member(at)?.book;
      book?.offer(at.grantRecord);
      book?.offer(at.alpha.sign("refusal", at.alpha.refusal(at.grant, "busy")));
      return at.alpha.instance(2);
    },
  },
  {
    name: "a provider that has closed the grant's log",
    code: "attempt-passed",
    prepare: (at) => {
      const book = member(at)?.book;
      book?.offer(at.grantRecord);
      book?.offer(at.alpha.sign("log", at.alpha.log(at.grant, "failed")));
      return undefined;
    },
  },
  {
    name: "a grant whose ticks are over",
    code: "expired",
    prepare: (at) => {
      const book = member(at)?.book;
      if (book !== undefined) tickTo(book, at.grant.validToTick + 1);
      return undefined;
    },
  },
  {
    name: "a grant whose time is over",
    code: "expired",
    prepare: async ({ clock }) => {
      await clock.advance(HOUR_MS + 1);
      return undefined;
    },
  },
  {
    name: "evidence it does not accept any more",
    code: "not-eligible",
    prepare: (at) => {
      Object.assign(member(at) ?? {}, { evidence: "no-evidence" });
      return undefined;
    },
  },
  {
    name: "a request it does not know yet",
    code: "lacks-context",
    options: { behind: [1] },
  },
  {
    name: "a grant that is not the committee's",
    code: "wrong-key",
    asking: ({ alpha, coalition, grant }) => ({
      grantBytes: encodeRecord(signRecord(alpha.boot, coalition.network, "grant", grant)),
    }),
  },
  {
    name: "a grant with a broken signature",
    code: "bad-signature",
    asking: ({ grantRecord }) => ({
      grantBytes: encodeRecord({ ...grantRecord, signature: new Uint8Array(64).fill(1) }),
    }),
  },
  {
    name: "records that are none",
    code: "malformed",
    asking: () => ({ grantBytes: new Uint8Array(3).fill(255) }),
  },
  {
    name: "an admission of another kind",
    code: "wrong-schema",
    asking: ({ alpha, grant }) => ({
      admissionBytes: encodeRecord(alpha.sign("refusal", alpha.refusal(grant, "busy"))),
    }),
  },
];

describe("a member refuses", () => {
  for (const { name, code, options, prepare, asking } of refusals) {
    test(`${name}: ${code}, and writes no release`, async () => {
      const at = await made(options);
      const actor = (await prepare?.(at)) ?? at.alpha;
      expect(await at.ask(actor, asking?.(at))).toBe(code);
      expect([at.released(), at.network.bugs]).toEqual([[], []]);
    });
  }

  const rivals: readonly [name: string, take: (sealed: Uint8Array) => Uint8Array][] = [
    ["copied from another request", (sealed) => sealed],
    ["copied and re-randomised", (sealed) => moved(moved(sealed, 0, BASE), 32, gBar)],
  ];
  for (const [name, take] of rivals) {
    test(`an envelope ${name}, although its thief has won a grant for it: bad-ciphertext`, async () => {
      const at = await made({
        forge({ request, sealed: victims }) {
          const rival = keyNamed("rival");
          const sealed = take(victims);
          const own = { ...request, key: rival.publicKey, bearerPointer: bearerPointer(sealed) };
          return signRecord(rival, coalition.network, "request", { request: own, sealed });
        },
      });
      for (const index of [1, 2, 3]) {
        expect(await at.ask(at.alpha, {}, index)).toBe("bad-ciphertext");
        expect(at.released(index)).toEqual([]);
      }
    });
  }

  test("an attempt below one it voted for: attempt-passed", async () => {
    const at = await made();
    member(at)?.ballot.vote(at.grant.requestId, 2, seedNamed("grant of attempt 2"), () => true);
    expect(await at.ask(at.alpha)).toBe("attempt-passed");
    expect(at.released()).toEqual([]);
  });

  test("an attempt it released to another provider: not-the-provider", async () => {
    const at = await made();
    const { requestId, attempt } = at.grant;
    member(at)?.ballot.release({
      requestId,
      attempt,
      providerId: seedNamed("beta"),
      seq: 1,
      bootKey: seedNamed("beta boot"),
    });
    expect(await at.ask(at.alpha)).toBe("not-the-provider");
  });

  test("bytes that are no request", async () => {
    const at = await made();
    const node = await at.nodeOf(at.alpha);
    const ask = (bytes: Uint8Array) =>
      at.clock.run(
        node
          .request(member(at)?.node.self ?? "", SHARE_PROTOCOL, bytes, { timeoutMs: 100 })
          .then(() => "served", codeOf),
        1000,
      );
    expect(await ask(new Uint8Array(0))).toBe("malformed");
    expect(await ask(new Uint8Array(4000).fill(0x81))).toBe("too-deep");
    expect(await ask(encodeCanonical({ grant: new Uint8Array(1) }))).toBe("wrong-schema");
    expect(at.network.bugs).toEqual([]);
  });

  test("a provider from another committee epoch: not-eligible", async () => {
    const at = await made();
    const { coalition } = at;
    Object.assign(coalition.file.committee, { epoch: 2 });
    try {
      expect(await at.ask(at.alpha)).toBe("not-eligible");
    } finally {
      Object.assign(coalition.file.committee, { epoch: 1 });
    }
    expect(at.released()).toEqual([]);
  });
});

/** The point at this place of the ciphertext, times the generator to the 7th. */
function moved(sealed: Uint8Array, at: number, generator: Element): Uint8Array {
  const point = encode(add(decode(sealed.slice(at, at + 32)), times(generator, 7n)));
  return concat(sealed.slice(0, at), point, sealed.slice(at + 32));
}
