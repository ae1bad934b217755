/**
 * RFC 9180 vectors, interop with an independent implementation (@hpke/core for KEM and key schedule on the
 * runtime's X25519, and a WebAssembly ChaCha20-Poly1305), and the properties callers rely on.
 */
import { describe, expect, test } from "bun:test";
import {
  AeadId,
  type AeadInterface,
  CipherSuite,
  DhkemX25519HkdfSha256,
  HkdfSha256,
} from "@hpke/core";
import { asCrypto } from "@libp2p/noise/crypto";
import fc from "fast-check";
import { bytes32, fromHex, toHex, utf8 } from "../../src/base/bytes.ts";
import {
  canSealTo,
  dh,
  HPKE_OVERHEAD_BYTES,
  type KemKeyPair,
  kemKeyPair,
  open,
  seal,
  sealWithEphemeral,
} from "../../src/base/hpke.ts";
import { bytes, flipped } from "../support/arbitraries.ts";
import { codeThrownBy } from "../support/codes.ts";
import vectors from "../vectors/hpke-rfc9180.json";

/** u coordinates of order 1, 2, 4 and 8 on Curve25519 and its twist, and their non-canonical spellings (RFC 7748). */
const SMALL_ORDER_U = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].flatMap((hex) => [fromHex(hex), flipped(fromHex(hex), 31, 7)]);

const KEYS = { recipient: kemKeyPair(), sender: kemKeyPair(), stranger: kemKeyPair() };
const INFO = utf8("compute-bridge/test/v1");
const AAD = utf8("aad");

function pair(privateKey: string, publicKey: string): KemKeyPair {
  return { privateKey: bytes32(fromHex(privateKey)), publicKey: bytes32(fromHex(publicKey)) };
}

describe("RFC 9180 vectors", () => {
  for (const vector of vectors.cases) {
    const recipient = pair(vector.skRm, vector.pkRm);
    const sender = vector.skSm && vector.pkSm ? pair(vector.skSm, vector.pkSm) : undefined;
    const context = { info: fromHex(vector.info), aad: fromHex(vector.aad) };

    test(`${vector.section} (${vector.mode}): seal`, () => {
      const sealed = sealWithEphemeral(
        recipient.publicKey,
        fromHex(vector.pt),
        { ...context, ...(sender && { sender }) },
        pair(vector.skEm, vector.pkEm),
      );
      expect(toHex(sealed)).toBe(vector.enc + vector.ct);
    });

    test(`${vector.section} (${vector.mode}): open`, () => {
      const opened = open(recipient, fromHex(vector.enc + vector.ct), {
        ...context,
        ...(sender && { senderPublicKey: sender.publicKey }),
      });
      expect(toHex(opened)).toBe(vector.pt);
    });

    test(`${vector.section} (${vector.mode}): public keys follow from private keys`, () => {
      expect(toHex(kemKeyPair(fromHex(vector.skRm)).publicKey)).toBe(vector.pkRm);
      expect(toHex(kemKeyPair(fromHex(vector.skEm)).publicKey)).toBe(vector.pkEm);
    });
  }
});

describe("interop with @hpke/core", () => {
  const asView = (data: ArrayBufferLike | ArrayBufferView): Uint8Array =>
    ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data);
  const chacha20Poly1305: AeadInterface = {
    id: AeadId.Chacha20Poly1305,
    keySize: 32,
    nonceSize: 12,
    tagSize: 16,
    createEncryptionContext: (key) => ({
      seal: async (iv, data, aad) =>
        new Uint8Array(
          asCrypto
            .chaCha20Poly1305Encrypt(asView(data), asView(iv), asView(aad), asView(key))
            .subarray(),
        ).buffer,
      open: async (iv, data, aad) =>
        new Uint8Array(
          asCrypto
            .chaCha20Poly1305Decrypt(asView(data), asView(iv), asView(aad), asView(key))
            .subarray(),
        ).buffer,
    }),
  };
  const kem = new DhkemX25519HkdfSha256();
  const suite = new CipherSuite({ kem, kdf: new HkdfSha256(), aead: chacha20Poly1305 });

  async function theirs(keys: KemKeyPair): Promise<CryptoKeyPair> {
    return {
      privateKey: await kem.importKey("raw", keys.privateKey, false),
      publicKey: await kem.importKey("raw", keys.publicKey, true),
    };
  }

  for (const mode of ["base", "auth"] as const) {
    test(`${mode} mode: they open what we seal`, async () => {
      const message = bytes(0, 3000);
      await fc.assert(
        fc.asyncProperty(message, bytes(0, 64), bytes(0, 64), async (plaintext, info, aad) => {
          const sealed = seal(KEYS.recipient.publicKey, plaintext, {
            info,
            aad,
            ...(mode === "auth" && { sender: KEYS.sender }),
          });
          const opened = await suite.open(
            {
              recipientKey: (await theirs(KEYS.recipient)).privateKey,
              enc: sealed.slice(0, 32),
              info,
              ...(mode === "auth" && { senderPublicKey: (await theirs(KEYS.sender)).publicKey }),
            },
            sealed.slice(32),
            aad,
          );
          expect(toHex(new Uint8Array(opened))).toBe(toHex(plaintext));
        }),
        { numRuns: 30 },
      );
    });

    test(`${mode} mode: we open what they seal`, async () => {
      await fc.assert(
        fc.asyncProperty(
          bytes(0, 3000),
          bytes(0, 64),
          bytes(0, 64),
          async (plaintext, info, aad) => {
            const { enc, ct } = await suite.seal(
              {
                recipientPublicKey: (await theirs(KEYS.recipient)).publicKey,
                info,
                ...(mode === "auth" && { senderKey: await theirs(KEYS.sender) }),
              },
              plaintext,
              aad,
            );
            const sealed = Buffer.concat([new Uint8Array(enc), new Uint8Array(ct)]);
            const opened = open(KEYS.recipient, sealed, {
              info,
              aad,
              ...(mode === "auth" && { senderPublicKey: KEYS.sender.publicKey }),
            });
            expect(opened).toEqual(plaintext);
          },
        ),
        { numRuns: 30 },
      );
    });
  }
});

describe("properties", () => {
  const sealedForUs = (plaintext: Uint8Array, auth: boolean): Uint8Array =>
    seal(KEYS.recipient.publicKey, plaintext, {
      info: INFO,
      aad: AAD,
      ...(auth && { sender: KEYS.sender }),
    });
  const options = (auth: boolean): Parameters<typeof open>[2] => ({
    info: INFO,
    aad: AAD,
    ...(auth && { senderPublicKey: KEYS.sender.publicKey }),
  });

  test("opens what was sealed, and adds exactly the overhead", () => {
    fc.assert(
      fc.property(bytes(0, 500), fc.boolean(), (plaintext, auth) => {
        const sealed = sealedForUs(plaintext, auth);
        expect(sealed.length).toBe(plaintext.length + HPKE_OVERHEAD_BYTES);
        expect(open(KEYS.recipient, sealed, options(auth))).toEqual(plaintext);
      }),
      { numRuns: 50 },
    );
  });

  test("any flipped bit is refused", () => {
    fc.assert(
      fc.property(bytes(0, 60), fc.boolean(), fc.nat(), fc.nat(7), (plaintext, auth, at, bit) => {
        const altered = flipped(sealedForUs(plaintext, auth), at, bit);
        expect(codeThrownBy(() => open(KEYS.recipient, altered, options(auth)))).toBe(
          "cannot-open",
        );
      }),
    );
  });

  test("every byte position is covered once", () => {
    const sealed = sealedForUs(utf8("short"), true);
    for (let at = 0; at < sealed.length; at += 1) {
      const altered = flipped(sealed, at, at);
      expect(codeThrownBy(() => open(KEYS.recipient, altered, options(true)))).toBe("cannot-open");
    }
  });

  test("every truncation and any extension is refused", () => {
    const sealed = sealedForUs(utf8("a message"), false);
    for (let length = 0; length < sealed.length; length += 1) {
      const cut = sealed.subarray(0, length);
      expect(codeThrownBy(() => open(KEYS.recipient, cut, options(false)))).toBe("cannot-open");
    }
    const longer = Buffer.concat([sealed, Buffer.of(0)]);
    expect(codeThrownBy(() => open(KEYS.recipient, longer, options(false)))).toBe("cannot-open");
  });

  test("wrong aad, info, key, sender or mode is refused", () => {
    const base = sealedForUs(utf8("m"), false);
    const auth = sealedForUs(utf8("m"), true);
    const attempts: [KemKeyPair, Uint8Array, Parameters<typeof open>[2]][] = [
      [KEYS.recipient, base, { info: INFO, aad: utf8("other") }],
      [KEYS.recipient, base, { info: utf8("other"), aad: AAD }],
      [KEYS.stranger, base, options(false)],
      [KEYS.recipient, base, options(true)],
      [KEYS.recipient, auth, options(false)],
      [KEYS.recipient, auth, { info: INFO, aad: AAD, senderPublicKey: KEYS.stranger.publicKey }],
      [KEYS.stranger, auth, options(true)],
    ];
    for (const [keys, sealed, opening] of attempts) {
      expect(codeThrownBy(() => open(keys, sealed, opening))).toBe("cannot-open");
    }
  });

  test("two seals of one message share nothing", () => {
    const first = sealedForUs(utf8("m"), false);
    const second = sealedForUs(utf8("m"), false);
    expect(toHex(first.subarray(0, 32))).not.toBe(toHex(second.subarray(0, 32)));
    expect(toHex(first.subarray(32))).not.toBe(toHex(second.subarray(32)));
  });

  test("arbitrary bytes never open and never throw another error", () => {
    fc.assert(
      fc.property(bytes(0, 200), fc.boolean(), (garbage, auth) => {
        expect(codeThrownBy(() => open(KEYS.recipient, garbage, options(auth)))).toBe(
          "cannot-open",
        );
      }),
      { numRuns: 50 },
    );
  });
});

describe("small-order keys", () => {
  for (const point of SMALL_ORDER_U) {
    test(`${toHex(point)} is refused everywhere`, () => {
      const context = { info: INFO, aad: AAD };
      expect(canSealTo(point)).toBe(false);
      expect(codeThrownBy(() => dh(KEYS.recipient.privateKey, point))).toBe("malformed");
      expect(codeThrownBy(() => seal(point, utf8("m"), context))).toBe("malformed");
      const sealed = seal(KEYS.recipient.publicKey, utf8("m"), context);
      const withPoint = Buffer.concat([point, sealed.subarray(32)]);
      expect(codeThrownBy(() => open(KEYS.recipient, withPoint, context))).toBe("cannot-open");
      const opening = { ...context, senderPublicKey: point };
      expect(codeThrownBy(() => open(KEYS.recipient, sealed, opening))).toBe("cannot-open");
    });
  }

  test("what can be sealed to is what a key agreement accepts", () => {
    const near = fc.tuple(fc.constantFrom(...SMALL_ORDER_U), fc.nat(31), fc.nat(7));
    const keys = fc.oneof(
      bytes(32),
      near.map(([point, at, bit]) => flipped(point, at, bit)),
    );
    const agrees = (key: Uint8Array): boolean =>
      codeThrownBy(() => dh(KEYS.recipient.privateKey, key)) === undefined;
    fc.assert(
      fc.property(keys, (key) => canSealTo(key) === agrees(key)),
      { numRuns: 300 },
    );
  });

  test("a key of the wrong length is refused", () => {
    expect(canSealTo(new Uint8Array(31))).toBe(false);
    expect(codeThrownBy(() => dh(KEYS.recipient.privateKey, new Uint8Array(31)))).toBe("malformed");
    expect(codeThrownBy(() => seal(new Uint8Array(33), utf8("m"), { info: INFO, aad: AAD }))).toBe(
      "malformed",
    );
  });
});
