/** Receipts and refusals: for one reader, about one grant, from one provider, and all of one size. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Bytes32, concat, equal, u32be } from "../../src/base/bytes.ts";
import { encodeCanonical } from "../../src/base/canonical.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { lp } from "../../src/base/hash.ts";
import { HPKE_OVERHEAD_BYTES, kemKeyPair, seal } from "../../src/base/hpke.ts";
import { REFUSAL_DETAIL_CHARS_MAX, REPLY_BYTES } from "../../src/base/limits.ts";
import { pad } from "../../src/base/padding.ts";
import { REFUSAL_CODES } from "../../src/coalition/grant.ts";
import {
  openReply,
  type ReplyContent,
  type SealedRefusal,
  type SshAccessReceipt,
  sealReply,
} from "../../src/receipt/receipt.ts";
import { bytes, flipped } from "../support/arbitraries.ts";
import { keyNamed, seedNamed } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";

const grant = { requestId: seedNamed("request"), attempt: 2, providerId: seedNamed("provider") };
const boot = keyNamed("boot");
const requester = kemKeyPair(seedNamed("requester"));

const receipt: SshAccessReceipt = {
  v: 1,
  kind: "receipt",
  instanceHost: "203.0.113.7",
  instancePort: 22,
  user: "tenant",
  sshHostKey: seedNamed("host key"),
  grantId: seedNamed("grant"),
  validToTick: 100,
  notAfterMs: 1_790_000_000_000,
};
const refusal: SealedRefusal = {
  v: 1,
  kind: "refusal",
  grantId: seedNamed("grant"),
  code: "capacity",
  detail: "all machines are taken",
};

const sealed = sealReply(receipt, grant, boot, requester.publicKey);

function opening(
  reply: Uint8Array,
  { of = grant, reader = requester, signer = boot.publicKey } = {},
): ErrorCode | undefined {
  return codeThrownBy(() => openReply(reply, of, reader, signer));
}

describe("a reply", () => {
  test("opens to what was sealed", () => {
    expect(openReply(sealed, grant, requester, boot.publicKey)).toEqual(receipt);
    const other = sealReply(refusal, grant, boot, requester.publicKey);
    expect(openReply(other, grant, requester, boot.publicKey)).toEqual(refusal);
  });

  test("has one size, receipt or refusal, short or long", () => {
    const receipts = fc.record({
      instanceHost: fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,252}$/),
      sshKeyPrivate: bytes(32).map((key) => key as Bytes32),
      evidence: bytes(32).map((key) => key as Bytes32),
      notAfterMs: fc.nat(2 ** 45),
    });
    const refusals = fc.record({
      code: fc.constantFrom(...REFUSAL_CODES),
      detail: fc.string({ maxLength: REFUSAL_DETAIL_CHARS_MAX }),
    });
    fc.assert(
      fc.property(receipts, refusals, (one, other) => {
        const contents: ReplyContent[] = [
          { ...receipt, ...one },
          { ...refusal, ...other },
        ];
        for (const content of contents) {
          const reply = sealReply(content, grant, boot, requester.publicKey);
          expect(reply.length).toBe(REPLY_BYTES);
          expect(openReply(reply, grant, requester, boot.publicKey)).toEqual(content);
        }
      }),
      { seed: 23, numRuns: 30 },
    );
  });

  test("is never sealed twice to the same bytes", () => {
    expect(equal(sealed, sealReply(receipt, grant, boot, requester.publicKey))).toBe(false);
  });
});

describe("a reply does not open", () => {
  test("with another key", () => {
    expect(opening(sealed, { reader: kemKeyPair(seedNamed("other")) })).toBe("cannot-open");
  });

  test("as the answer to another request, attempt or provider", () => {
    expect(opening(sealed, { of: { ...grant, requestId: seedNamed("x") } })).toBe("cannot-open");
    expect(opening(sealed, { of: { ...grant, attempt: 1 } })).toBe("cannot-open");
    expect(opening(sealed, { of: { ...grant, providerId: seedNamed("x") } })).toBe("cannot-open");
  });

  test("with any byte flipped", () => {
    for (let at = 0; at < REPLY_BYTES; at += 1) {
      // X25519 ignores the top bit of the ephemeral key; HPKE binds the bytes all the same.
      expect(opening(flipped(sealed, at, at))).toBe("cannot-open");
    }
    expect(opening(flipped(sealed, 31, 7))).toBe("cannot-open");
  });

  test("cut short or with something behind it", () => {
    for (const length of [0, HPKE_OVERHEAD_BYTES - 1, REPLY_BYTES - 1]) {
      expect(opening(sealed.slice(0, length))).toBe("cannot-open");
    }
    expect(opening(concat(sealed, new Uint8Array(1)))).toBe("cannot-open");
  });

  test("when another boot key signed it", () => {
    const forged = sealReply(receipt, grant, keyNamed("rival"), requester.publicKey);
    expect(opening(forged)).toBe("wrong-signer");
  });

  const body = (content: object, signature: Uint8Array = new Uint8Array(64)) =>
    encodeCanonical({ content, signature });
  const signed = (content: object) =>
    body(content, boot.sign(lp("compute-bridge/reply-content/v1", encodeCanonical(content))));
  const cases: readonly [name: string, plaintext: Uint8Array, code: ErrorCode][] = [
    ["when its signature is missing", padded(body(receipt)), "wrong-signer"],
    ["when its padding is not zero", lastByteSet(padded(signed(receipt))), "malformed"],
    ["when it is shorter than the one size", padded(signed(receipt)).slice(0, -1), "malformed"],
    [
      "when it is neither receipt nor refusal",
      padded(signed({ v: 1, kind: "offer" })),
      "wrong-schema",
    ],
    ["with an unknown key", padded(signed({ ...receipt, more: 1 })), "wrong-schema"],
    [
      "with a port that is none",
      padded(signed({ ...receipt, instancePort: 65_536 })),
      "wrong-schema",
    ],
    ["with a code nobody knows", padded(signed({ ...refusal, code: "bored" })), "wrong-schema"],
  ];
  for (const [name, plaintext, code] of cases) {
    test(`${name}: ${code}`, () => expect(opening(sealedRaw(plaintext))).toBe(code));
  }

  // Host and user are written into ssh_config and known_hosts: a provider must not write our files for us.
  const injections = [
    { user: "a\n  ProxyCommand sh -c id" },
    { user: "-oProxyCommand" },
    { user: "a b" },
    { user: "" },
    { user: `${"a".repeat(33)}` },
    { user: 'a"' },
    { instanceHost: "h\nProxyCommand touch /tmp/x" },
    { instanceHost: "-oProxyCommand=id" },
    { instanceHost: "%h" },
    { instanceHost: "a b" },
    { instanceHost: "h\n" },
    { instanceHost: "" },
    { instanceHost: "a".repeat(254) },
    { instanceHost: "$(id)" },
    { instanceHost: "*" },
  ];
  for (const change of injections) {
    test(`with ${JSON.stringify(change).slice(0, 60)}: wrong-schema`, () => {
      const content = { ...receipt, ...change };
      expect(opening(sealReply(content, grant, boot, requester.publicKey))).toBe("wrong-schema");
    });
  }

  test("but does with every kind of host a backend returns", () => {
    for (const instanceHost of [
      "127.0.0.1",
      "2001:db8::1",
      "::1",
      "vm-1.europe-west4.example.com",
      "A_b.example",
    ]) {
      const content = { ...receipt, instanceHost };
      expect(opening(sealReply(content, grant, boot, requester.publicKey))).toBeUndefined();
    }
  });
});

/** Any plaintext under the right seal, as a dishonest provider could make it. */
function sealedRaw(plaintext: Uint8Array): Uint8Array {
  return seal(requester.publicKey, plaintext, {
    info: lp("compute-bridge/reply/v1"),
    aad: lp(grant.requestId, u32be(grant.attempt), grant.providerId),
  });
}

function lastByteSet(plaintext: Uint8Array): Uint8Array {
  return concat(plaintext.subarray(0, -1), Uint8Array.of(1));
}

function padded(body: Uint8Array): Uint8Array {
  return pad(body, REPLY_BYTES - HPKE_OVERHEAD_BYTES, "a test reply");
}
