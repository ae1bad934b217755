/** A provider gathering shares: from whoever answers, naming who lies, waiting for who is late. */
import { afterEach, describe, expect, test } from "bun:test";
import { toHex } from "../../src/base/bytes.ts";
import { BridgeError, codeOf } from "../../src/base/errors.ts";
import { seal } from "../../src/base/hpke.ts";
import { SHARE_REQUEST_BYTES_MAX } from "../../src/base/limits.ts";
import type { RequestHandler } from "../../src/network/transport.ts";
import { decodeEnvelope, envelopeLabel } from "../../src/zipnet/envelope.ts";
import { encrypt } from "../../src/zipnet/tdh2.ts";
import { SHARE_PROTOCOL, shareContext } from "../../src/zipnet/unseal.ts";
import { testOrder } from "../support/actors.ts";
import { type RigOptions, type UnsealRig, unsealRig } from "./unseal-rig.ts";

let rig: UnsealRig | undefined;
afterEach(() => rig?.close());

async function made(options?: RigOptions): Promise<UnsealRig> {
  rig = await unsealRig(options);
  return rig;
}

/** Gathers for at most so long, and says how it ended. */
async function outcome(at: UnsealRig, patienceMs = 30_000): Promise<string> {
  const stop = new AbortController();
  void at.clock.sleep(patienceMs).then(() => stop.abort());
  const gathered = at.gather(at.alpha, stop.signal).then(
    (plaintext) => decodeEnvelope(plaintext).manifest.crate.name,
    (error: unknown) =>
      error instanceof BridgeError ? `${error.code}: ${error.message}` : `${error}`,
  );
  return await at.clock.run(gathered, patienceMs + 10_000);
}

/** Replaces how one member answers. */
function answering(at: UnsealRig, index: number, handler: RequestHandler): void {
  at.members[index - 1]?.node.handle(SHARE_PROTOCOL, SHARE_REQUEST_BYTES_MAX, handler);
}

const refusing =
  (code: ConstructorParameters<typeof BridgeError>[0]): RequestHandler =>
  () => {
    throw new BridgeError(code, "no");
  };
const NAME = testOrder().manifest.crate.name;

describe("an envelope opens", () => {
  for (const size of [
    { members: 3, threshold: 2 },
    { members: 4, threshold: 3 },
  ]) {
    test(`with ${size.threshold} of ${size.members} members`, async () => {
      const at = await made(size);
      expect(await outcome(at)).toBe(NAME);
    });
  }

  test("while one member is unreachable", async () => {
    const at = await made();
    at.network.kill(at.members[0]?.node.self ?? "");
    expect(await outcome(at)).toBe(NAME);
  });

  test("while one member hangs", async () => {
    const at = await made();
    answering(at, 2, () => new Promise(() => {}));
    const startMs = at.clock.monotonicMs();
    expect(await outcome(at)).toBe(NAME);
    expect(at.clock.monotonicMs() - startMs).toBeLessThan(1000);
  });

  const lies: readonly [name: string, answer: (at: UnsealRig, body: Uint8Array) => Uint8Array][] = [
    ["bytes that do not open", () => new Uint8Array(200).fill(3)],
    ["too few bytes", () => new Uint8Array(3)],
    ["an empty share", (at) => sealed(at, 1, new Uint8Array(0))],
    ["a share that does not hold", (at) => sealed(at, 1, new Uint8Array(96).fill(1))],
    ["a share sealed in another member's name", (at) => sealed(at, 2, new Uint8Array(96).fill(1))],
  ];
  for (const [name, answer] of lies) {
    test(`although one member answers with ${name}: it is named and left out`, async () => {
      const at = await made();
      answering(at, 1, (_, body) => answer(at, body));
      at.network.rule = (
        { channel, from }, // the lie comes first
      ) =>
        channel === "answer" && from !== at.members[0]?.node.self ? { delayMs: 50 } : undefined;
      expect(await outcome(at)).toBe(NAME);
      expect(at.lines.filter((line) => line.includes('"member":1')).length).toBe(1);
      expect(at.lines.filter((line) => /"member":[23]/.test(line))).toEqual([]);
    });
  }

  test("once members that were behind have caught up", async () => {
    const at = await made({ behind: [1, 2] });
    const card = at.alpha.sign("card", at.alpha.card({ tick: 10 }));
    const record = [...(at.members[2]?.book.records.requests.values() ?? [])][0]?.bytes;
    void at.clock.sleep(3000).then(() => {
      at.members[1]?.book.store.offer(record ?? new Uint8Array());
      at.members[1]?.book.offer(card);
    });
    expect(await outcome(at)).toBe(NAME);
    expect(at.clock.monotonicMs()).toBeGreaterThanOrEqual(3000);
  });

  test("once a partition is over", async () => {
    const at = await made();
    const alone = (await at.nodeOf(at.alpha)).self;
    at.network.partition([alone]);
    void at.clock.sleep(12_000).then(() => at.network.heal());
    expect(await outcome(at)).toBe(NAME);
  });
});

describe("it stays closed", () => {
  test("with fewer than the threshold: a clear wait, then too-few-shares", async () => {
    const at = await made();
    for (const index of [1, 2]) at.network.kill(at.members[index - 1]?.node.self ?? "");
    const startMs = at.clock.monotonicMs();
    expect(await outcome(at, 10_000)).toBe(
      "too-few-shares: 1 of 2 shares: the members do not answer",
    );
    expect(at.clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(10_000);
  });

  test("as soon as too few are left that could still answer, with the reason they share", async () => {
    const at = await made();
    for (const index of [1, 2]) answering(at, index, refusing("attempt-passed"));
    const startMs = at.clock.monotonicMs();
    expect(await outcome(at)).toMatch(/^attempt-passed: .*member 1 attempt-passed/);
    expect(at.clock.monotonicMs() - startMs).toBeLessThan(1000);
  });

  for (const code of [
    "bad-ciphertext",
    "not-the-provider",
    "expired",
    "not-eligible",
    "stale-epoch",
  ] as const) {
    test(`when all members answer ${code}`, async () => {
      const at = await made();
      for (const index of [1, 2, 3]) answering(at, index, refusing(code));
      expect(await outcome(at)).toStartWith(`${code}: `);
    });
  }

  test("when members lie and refuse: each is named with its own reason", async () => {
    const at = await made();
    answering(at, 1, () => new Uint8Array(200));
    answering(at, 2, refusing("attempt-passed"));
    const text = await outcome(at);
    expect(text).toStartWith("too-few-shares: ");
    expect(text).toContain("member 1 bad-share");
    expect(text).toContain("member 2 attempt-passed");
  });

  test("when its proof holds but its payload is not what the shares open: bad-ciphertext, and nothing breaks", async () => {
    const at = await made();
    const stop = new AbortController();
    // A requester may seal what it likes: here to a key nobody holds, under the right label and with a good proof.
    const nobody = at.coalition.unsealShareKeys.get(1) ?? at.coalition.unsealKey;
    const plaintext = new Uint8Array(1040);
    const sealedToNobody = encrypt(nobody, plaintext, envelopeLabel(at.coalition, at.request));
    const message = { ...at.message, sealed: sealedToNobody };
    for (const { book } of at.members) {
      const [entry] = book.records.requests.values();
      Object.assign(entry?.body ?? {}, { sealed: sealedToNobody });
    }
    const ended = at.gather(at.alpha, stop.signal, message).then(() => "opened", codeOf);
    expect(await at.clock.run(ended, 30_000)).toBe("bad-ciphertext");
  });

  test("when nobody waits any more", async () => {
    const at = await made();
    const ended = at.gather(at.alpha, AbortSignal.abort()).then(() => "opened", codeOf);
    expect(await at.clock.run(ended, 1000)).toBe("too-few-shares");
  });
});

test("a member that has given its share is not asked again", async () => {
  const at = await made();
  const asked = new Map<string, number>();
  at.network.rule = ({ to, channel, protocol }) => {
    if (channel === "request" && protocol === SHARE_PROTOCOL)
      asked.set(to, (asked.get(to) ?? 0) + 1);
    return undefined;
  };
  expect(await outcome(at)).toBe(NAME);
  await at.clock.advance(60_000);
  expect([...asked.values()]).toEqual([1, 1, 1]);
  expect(asked.has(toHex(at.alpha.boot.publicKey))).toBe(false);
});

function sealed(at: UnsealRig, index: number, share: Uint8Array): Uint8Array {
  return seal(at.alpha.kem.publicKey, share, shareContext(at.grant, index));
}
