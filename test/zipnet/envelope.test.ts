/** Envelopes: one size for all, bound to everything around them, tampering always noticed. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Bytes32, concat, equal, toHex } from "../../src/base/bytes.ts";
import { encodeCanonical } from "../../src/base/canonical.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { ENVELOPE_BYTES, REQUEST_BYTES_MAX } from "../../src/base/limits.ts";
import { pad } from "../../src/base/padding.ts";
import type { Coalition } from "../../src/coalition/config.ts";
import {
  imageCommitment,
  manifestCommitment,
  postHash,
  preHash,
} from "../../src/coalition/manifest.ts";
import { type ComputeRequest, requestId } from "../../src/coalition/request.ts";
import {
  type Composed,
  composeRequest,
  type Order,
  requestStateCodec,
} from "../../src/zipnet/compose.ts";
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  envelopeLabel,
  envelopeSecret,
  sealEnvelope,
} from "../../src/zipnet/envelope.ts";
import { packRequest } from "../../src/zipnet/message.ts";
import {
  checkCiphertext,
  combine,
  decryptionShare,
  TDH2_OVERHEAD_BYTES,
} from "../../src/zipnet/tdh2.ts";
import { testOrder } from "../support/actors.ts";
import { bytes } from "../support/arbitraries.ts";
import { alteredCoalition, secretsOf, seedNamed, testCeremony } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";

const ceremony = testCeremony();
const { coalition } = ceremony;
const PLAINTEXT_BYTES = ENVELOPE_BYTES - TDH2_OVERHEAD_BYTES;

/** Opens a composed request as two colluding members could. */
function opened(
  { request }: Composed,
  sealed: Uint8Array,
): { plaintext: Uint8Array; envelope: Envelope } {
  const shares = new Map(
    [1, 3].map((i) => [i, decryptionShare(secretsOf(ceremony, i).unsealShare, sealed)]),
  );
  const plaintext = combine(shares, sealed, envelopeLabel(coalition, request));
  return { plaintext, envelope: decodeEnvelope(plaintext) };
}

function sealedOf(composed: Composed): Uint8Array {
  const packed = packRequest(composed.record);
  expect(packed.length).toBe(REQUEST_BYTES_MAX);
  const at = Buffer.from(composed.record.body).indexOf(Buffer.from("fsealed"));
  return composed.record.body.slice(at + 7 + 3, at + 7 + 3 + ENVELOPE_BYTES);
}

const orders: fc.Arbitrary<Partial<Order>> = fc.record(
  {
    sshKey: fc.constantFrom<Bytes32 | undefined>(undefined, seedNamed("ssh")),
    regionHint: fc.string({ maxLength: 20 }),
    image: fc.record({
      kind: fc.constantFrom("none", "oci", "rootfs"),
      digest: bytes(32).map((digest) => digest as Bytes32),
      pointer: fc.string({ unit: "grapheme-ascii", maxLength: 120 }),
    }),
    maxPricePerHourMicros: fc.nat(),
    durationMs: fc.integer({ min: 1, max: 3_600_000 }),
    regionClass: fc.constantFrom("any", "europe", "south-america"),
  },
  { requiredKeys: [] },
);

describe("a composed request", () => {
  test("has one size, on the wire and sealed, whatever it asks for", () => {
    fc.assert(
      fc.property(orders, fc.nat(2 ** 40), (order, nowTick) => {
        const composed = composeRequest(coalition, testOrder(order), nowTick);
        expect(sealedOf(composed).length).toBe(ENVELOPE_BYTES);
      }),
      { seed: 20, numRuns: 40 },
    );
  });

  test("opens to what was ordered; its commitments recompute", () => {
    const order = testOrder({ regionHint: "near the sea" });
    const composed = composeRequest(coalition, order, 5);
    const { envelope, plaintext } = opened(composed, sealedOf(composed));
    const { request, state } = composed;
    const hash = preHash(order.manifest);
    expect(envelope).toMatchObject({
      regionHint: "near the sea",
      manifest: order.manifest,
      sshKey: order.sshKey,
    });
    expect(equal(envelope.image.preHash, hash)).toBe(true);
    expect(equal(request.manifestCommitment, manifestCommitment(hash, envelope.manifestSalt))).toBe(
      true,
    );
    const image = postHash(hash, order.image.digest);
    expect(equal(request.imageCommitment, imageCommitment(image, envelope.imageSalt))).toBe(true);
    expect(toHex(envelopeSecret(plaintext))).toBe(state.secret);
    expect(toHex(requestId(request))).toBe(state.requestId);
    requestStateCodec.check({
      ...state,
      message: toHex(packRequest(composed.record)),
      sent: false,
    });
  });

  test("shares no key, salt or id with any other", () => {
    const secrets = [1, 2].flatMap(() => {
      const composed = composeRequest(coalition, testOrder(), 5);
      const { envelope } = opened(composed, sealedOf(composed));
      const { key, replyKey, bearerPointer } = composed.request;
      const { replySeed, kemSeed, ackSeed, secret } = composed.state;
      const { peerId, kemKey, ackKey, imageSalt, manifestSalt } = envelope;
      return [
        ...[key, replyKey, bearerPointer, peerId, kemKey, ackKey, imageSalt, manifestSalt].map(
          toHex,
        ),
        ...[replySeed, kemSeed, ackSeed, secret],
      ];
    });
    expect(new Set(secrets).size).toBe(secrets.length);
  });

  test("names classes, not needs", () => {
    const { request } = composeRequest(coalition, testOrder({ durationMs: 61_000 }), 5);
    expect([request.shape.cpuMillicores, request.durationMs]).toEqual([250, 300_000]);
  });

  test("that needs more than the largest class, waits too long, or does not fit is refused", () => {
    const { manifest } = testOrder();
    const compose = (order: Partial<Order>) =>
      codeThrownBy(() => composeRequest(coalition, testOrder(order), 5));
    expect(compose({ manifest: { ...manifest, minCpuMillicores: 128_001 } })).toBe("bad-argument");
    expect(compose({ durationMs: 168 * 3_600_000 + 1 })).toBe("bad-argument");
    expect(compose({ patienceTicks: coalition.file.compute.requestTicks + 1 })).toBe(
      "bad-argument",
    );
    const hosts = Array(8).fill("x".repeat(128));
    expect(
      compose({ manifest: { ...manifest, networkPolicy: { egress: "allowlist", hosts } } }),
    ).toBe("too-large");
  });
});

describe("an envelope", () => {
  const composed = composeRequest(coalition, testOrder(), 5);
  const { plaintext, envelope } = opened(composed, sealedOf(composed));

  test("is the same after a round trip", () => {
    expect(toHex(encodeEnvelope(envelope))).toBe(toHex(plaintext));
    expect(plaintext.length).toBe(PLAINTEXT_BYTES);
  });

  const body = encodeCanonical(envelope);
  const cases: readonly [name: string, plaintext: Uint8Array, code: ErrorCode][] = [
    ["a byte in the padding", concat(plaintext.slice(0, -1), Uint8Array.of(1)), "malformed"],
    ["a byte more", concat(plaintext, new Uint8Array(1)), "malformed"],
    ["a byte less", plaintext.slice(0, -1), "malformed"],
    ["a length beyond the end", concat(Uint8Array.of(255, 255), plaintext.slice(2)), "malformed"],
    ["a length of its own", concat(Uint8Array.of(0, 1), plaintext.slice(2)), "malformed"],
    ["nothing in it", new Uint8Array(PLAINTEXT_BYTES), "malformed"],
    ["another type", padded(encodeCanonical([1])), "wrong-schema"],
    ["an unknown key", padded(encodeCanonical({ ...envelope, more: 1 })), "wrong-schema"],
    ["another version", padded(encodeCanonical({ ...envelope, v: 2 })), "wrong-schema"],
    [
      "a key too short",
      padded(encodeCanonical({ ...envelope, kemKey: envelope.kemKey.slice(1) })),
      "wrong-schema",
    ],
    [
      "a key no receipt can be sealed to",
      padded(encodeCanonical({ ...envelope, kemKey: new Uint8Array(32) })),
      "wrong-schema",
    ],
    ["something behind it", padded(concat(body, Uint8Array.of(0xf6))), "malformed"],
  ];
  for (const [name, wrong, code] of cases) {
    test(`with ${name} is refused: ${code}`, () =>
      expect(codeThrownBy(() => decodeEnvelope(wrong))).toBe(code));
  }

  test("random plaintexts are refused with a code", () => {
    fc.assert(
      fc.property(bytes(PLAINTEXT_BYTES), (random) => {
        expect(codeThrownBy(() => decodeEnvelope(random))).toBeDefined();
      }),
      { seed: 21, numRuns: 40 },
    );
  });
});

describe("the ciphertext is bound to", () => {
  const composed = composeRequest(coalition, testOrder(), 5);
  const { request } = composed;
  const sealed = sealedOf(composed);
  const check = (of: Coalition, body: ComputeRequest) =>
    codeThrownBy(() => checkCiphertext(sealed, envelopeLabel(of, body)));

  test("its own request, as it is", () => expect(check(coalition, request)).toBeUndefined());

  test("the network and the committee epoch", () => {
    const salted = alteredCoalition(ceremony, (file) => ({ ...file, salt: "0".repeat(64) }));
    const next = alteredCoalition(ceremony, (file) => ({
      ...file,
      committee: { ...file.committee, epoch: 2 },
    }));
    expect([check(salted, request), check(next, request)]).toEqual([
      "bad-ciphertext",
      "bad-ciphertext",
    ]);
  });

  const x = seedNamed("x");
  const changes: { [K in keyof Omit<ComputeRequest, "v" | "bearerPointer">]-?: unknown } = {
    key: x,
    replyKey: x,
    shape: { ...request.shape, ramMib: 512 },
    tee: "tdx",
    regionClass: "asia",
    durationMs: 300_000,
    maxPricePerHourMicros: 1,
    accept: { ...request.accept, tcb: "up-to-date" },
    settlement: new Uint8Array(1),
    manifestCommitment: x,
    imageCommitment: x,
    expiryTick: request.expiryTick + 1,
  };
  for (const [field, value] of Object.entries(changes)) {
    test(`the request's ${field}`, () => {
      expect(check(coalition, { ...request, [field]: value } as ComputeRequest)).toBe(
        "bad-ciphertext",
      );
    });
  }

  test("nothing that itself depends on the ciphertext", () => {
    expect(check(coalition, { ...request, bearerPointer: x })).toBeUndefined();
  });

  test("so that a rival cannot take it over under its own one-time key", () => {
    const rival = composeRequest(coalition, testOrder(), 5);
    expect(check(coalition, rival.request)).toBe("bad-ciphertext");
    const again = sealEnvelope(coalition, rival.request, opened(composed, sealed).envelope);
    expect(equal(again, sealed)).toBe(false);
  });
});

function padded(body: Uint8Array): Uint8Array {
  return pad(body, PLAINTEXT_BYTES, "a test envelope");
}
