/** FROST sessions: any threshold signs, who is silent or lies is named, and nonces are used once. */
import { describe, expect, test } from "bun:test";
import { ed25519, ed25519_FROST } from "@noble/curves/ed25519.js";
import type { Bytes32 } from "../../src/base/bytes.ts";
import { equal, fromHex, utf8 } from "../../src/base/bytes.ts";
import { verify } from "../../src/base/ed25519.ts";
import { type BridgeError, codeOf } from "../../src/base/errors.ts";
import { NONCES_HELD_MAX } from "../../src/base/limits.ts";
import {
  type Commitment,
  createSigner,
  frostPublic,
  type SigningPeer,
  type SigningResult,
  signTogether,
} from "../../src/coalition/signing.ts";
import { flipped } from "../support/arbitraries.ts";
import { secretsOf, seedNamed, testCeremony } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";

const message = utf8("the grant");

type Mischief = (peer: SigningPeer) => Partial<SigningPeer>;

/** Runs one signing over all members in order; `mischief` changes how some of them behave. */
async function session(
  size: { readonly members: number; readonly threshold: number },
  mischief: Readonly<Record<number, Mischief>> = {},
  among?: readonly number[],
): Promise<SigningResult & { asked: number[] }> {
  const ceremony = testCeremony(size);
  const asked: number[] = [];
  const peers = (among ?? ceremony.secrets.map(({ index }) => index)).map((index): SigningPeer => {
    const signer = createSigner(ceremony.coalition, index, secretsOf(ceremony, index).grantShare);
    const honest: SigningPeer = {
      index,
      commit: async () => signer.commit(),
      sign: async (commitments) => {
        asked.push(index);
        return signer.sign(message, commitments);
      },
    };
    return { ...honest, ...mischief[index]?.(honest) };
  });
  return { ...(await signTogether(ceremony.coalition, message, peers, new Map())), asked };
}

function holds(signature: Uint8Array, size: { members: number; threshold: number }): boolean {
  const { grantKey } = testCeremony(size).coalition;
  const [ours, theirs] = [
    verify(grantKey, message, signature),
    ed25519.verify(signature, message, grantKey, { zip215: false }),
  ];
  expect(ours).toBe(theirs);
  return ours;
}

function subsets(of: readonly number[], size: number): number[][] {
  if (size === 0) return [[]];
  return of.flatMap((first, i) =>
    subsets(of.slice(i + 1), size - 1).map((rest) => [first, ...rest]),
  );
}

const three = { members: 3, threshold: 2 };
const four = { members: 4, threshold: 3 };
const small = fromHex(
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
) as Bytes32;
const identity = fromHex(`01${"00".repeat(31)}`) as Bytes32;

const silent: Mischief = () => ({ sign: () => Promise.reject(new Error("no answer")) });
const mute: Mischief = () => ({ commit: () => Promise.reject(new Error("no answer")) });
const badShare: Mischief = (peer) => ({
  sign: async (commitments) => flipped(await peer.sign(commitments), 3),
});
const badPoint =
  (change: Partial<Commitment>): Mischief =>
  (peer) => ({
    commit: async () => ({ ...(await peer.commit()), ...change }),
  });

describe("a threshold of members", () => {
  for (const size of [three, four, { members: 5, threshold: 4 }]) {
    for (const among of subsets([1, 2, 3, 4, 5].slice(0, size.members), size.threshold)) {
      test(`${among.join(", ")} of ${size.members} makes one plain ed25519 signature`, async () => {
        const { signature, named } = await session(size, {}, among);
        expect([holds(signature, size), named]).toEqual([true, []]);
      });
    }
  }

  test("is enough: the others are not asked", async () => {
    expect((await session(four)).asked.toSorted()).toEqual([1, 2, 3]);
  });
});

describe("a member that", () => {
  const cases: readonly [name: string, mischief: Mischief, reason: "silent" | "bad-share"][] = [
    ["does not commit", mute, "silent"],
    ["does not sign", silent, "silent"],
    ["gives a wrong share", badShare, "bad-share"],
    ["gives a share of another message", (peer) => otherMessage(peer.index), "bad-share"],
    [
      "gives a short share",
      (peer) => ({ sign: async (c) => (await peer.sign(c)).slice(1) }),
      "bad-share",
    ],
    ["gives no scalar", () => ({ sign: async () => new Uint8Array(32).fill(255) }), "bad-share"],
    ["gives zero", () => ({ sign: async () => new Uint8Array(32) }), "bad-share"],
    [
      "commits to no point",
      badPoint({ hiding: new Uint8Array(32).fill(255) as Bytes32 }),
      "bad-share",
    ],
    ["commits to a point of small order", badPoint({ binding: small }), "bad-share"],
    ["commits to the identity", badPoint({ hiding: identity }), "bad-share"],
    ["commits in another member's name", badPoint({ index: 3 }), "bad-share"],
    ["signs under nonces it did not commit to", badPoint({ hiding: otherPoint() }), "silent"],
  ];
  for (const [name, mischief, reason] of cases) {
    test(`${name} is named ${reason}; the others sign without it`, async () => {
      for (const size of [three, four]) {
        const { signature, named } = await session(size, { 2: mischief });
        expect(named).toEqual([{ index: 2, reason }]);
        expect(holds(signature, size)).toBe(true);
      }
    });
  }

  test("lies is named even when another is silent, as long as a threshold is left", async () => {
    const five = { members: 5, threshold: 3 };
    const { signature, named } = await session(five, { 1: silent, 3: badShare });
    expect(named.toSorted((a, b) => a.index - b.index)).toEqual([
      { index: 1, reason: "silent" },
      { index: 3, reason: "bad-share" },
    ]);
    expect(holds(signature, five)).toBe(true);
  });
});

describe("fewer than the threshold", () => {
  test("do not sign", async () => {
    expect(await codeOfSession(three, {}, [2])).toBe("too-few-shares");
    expect(await codeOfSession(three, {}, [])).toBe("too-few-shares");
    expect(await codeOfSession(three, { 1: silent, 2: badShare })).toBe("too-few-shares");
  });

  test("is said with the names and reasons", async () => {
    const failed = await session(three, { 1: silent, 2: badShare }).catch(
      (error: BridgeError) => error,
    );
    expect((failed as BridgeError).message).toContain("member 1 silent");
    expect((failed as BridgeError).retry).toBe("later");
  });

  async function codeOfSession(...args: Parameters<typeof session>): Promise<unknown> {
    return await session(...args).then(() => undefined, codeOf);
  }
});

describe("a signer", () => {
  const ceremony = testCeremony(three);
  const { coalition } = ceremony;
  const signerOf = (index: number) =>
    createSigner(coalition, index, secretsOf(ceremony, index).grantShare);

  test("uses its nonces once, for one message, whatever it is asked", () => {
    const [a, b] = [signerOf(1), signerOf(2)];
    const list = [a.commit(), b.commit()];
    a.sign(message, list);
    expect(codeThrownBy(() => a.sign(message, list))).toBe("bad-argument");
    expect(codeThrownBy(() => a.sign(utf8("another"), list))).toBe("bad-argument");
  });

  test("signs only with nonces it made and still holds: a restart has none", () => {
    const [a, b] = [signerOf(1), signerOf(2)];
    const list = [a.commit(), b.commit()];
    expect(codeThrownBy(() => signerOf(1).sign(message, list))).toBe("bad-argument");
    expect(codeThrownBy(() => a.sign(message, [b.commit()]))).toBe("bad-argument");
    expect(codeThrownBy(() => a.sign(message, []))).toBe("bad-argument");
  });

  test("refuses a list with a bad point, and does not use its nonces again after it", () => {
    const [a, b] = [signerOf(1), signerOf(2)];
    const [mine, theirs] = [a.commit(), b.commit()];
    const bad = [mine, { ...theirs, binding: small }];
    expect(codeThrownBy(() => a.sign(message, bad))).toBe("bad-argument");
    expect(codeThrownBy(() => a.sign(message, [mine, theirs]))).toBe("bad-argument");
  });

  test("forgets the oldest nonces beyond its bound", () => {
    const [a, b] = [signerOf(1), signerOf(2)];
    const first = a.commit();
    for (let i = 0; i < NONCES_HELD_MAX; i += 1) a.commit();
    expect(codeThrownBy(() => a.sign(message, [first, b.commit()]))).toBe("bad-argument");
  });

  test("never makes the same nonces twice", () => {
    const a = signerOf(1);
    const [x, y] = [a.commit(), a.commit()];
    expect(equal(x.hiding, y.hiding) || equal(x.binding, y.binding)).toBe(false);
  });
});

function otherPoint(): Bytes32 {
  return ed25519.getPublicKey(seedNamed("other point")) as Bytes32;
}

/** A good share, but of something else. */
function otherMessage(index: number): Partial<SigningPeer> {
  const ceremony = testCeremony(three);
  const secret = {
    identifier: ed25519_FROST.Identifier.fromNumber(index),
    signingShare: secretsOf(ceremony, index).grantShare,
  };
  const nonce = ed25519_FROST.commit(secret);
  return {
    commit: async () => ({
      index,
      hiding: nonce.commitments.hiding as Bytes32,
      binding: nonce.commitments.binding as Bytes32,
    }),
    sign: async (commitments) =>
      ed25519_FROST.signShare(
        secret,
        frostPublic(ceremony.coalition),
        nonce.nonces,
        commitments.map(({ index: i, hiding, binding }) => ({
          identifier: ed25519_FROST.Identifier.fromNumber(i),
          hiding,
          binding,
        })),
        utf8("another message"),
      ),
  };
}
