/** Coalitions with all their secrets, and what their members sign together, for tests that need real records. */
import { must } from "../../src/base/assert.ts";
import type { Bytes32 } from "../../src/base/bytes.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { type SigningKey, signingKey } from "../../src/base/ed25519.ts";
import { sha256 } from "../../src/base/hash.ts";
import { type Ceremony, runCeremony } from "../../src/coalition/ceremony.ts";
import { type Coalition, type CoalitionFile, coalitionFrom } from "../../src/coalition/config.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import { createSigner, signTogether } from "../../src/coalition/signing.ts";
import { withPeerId } from "../../src/network/identity.ts";
import { type SignedRecord, signingInput, unsignedRecord } from "../../src/network/record.ts";

export interface CeremonySize {
  readonly members: number;
  readonly threshold: number;
  readonly tickMs: number;
}

const made = new Map<string, Ceremony>();

/** One ceremony per size and process: its keys are random, and no test may depend on which. */
export function testCeremony(size: Partial<CeremonySize> = {}): Ceremony {
  const { members = 3, threshold = 2, tickMs = 1000 } = size;
  const key = `${members}/${threshold}/${tickMs}`;
  const present = made.get(key);
  if (present !== undefined) return present;
  const ceremony = runCeremony({
    name: "test-coalition",
    members,
    threshold,
    currency: "EUR",
    tickMs,
    address: (index) => `/ip4/127.0.0.1/tcp/${40_000 + index}`,
    withPeerId,
  });
  made.set(key, ceremony);
  return ceremony;
}

/** The same coalition, its file changed. */
export function alteredCoalition(
  { coalition }: Ceremony,
  change: (file: CoalitionFile) => CoalitionFile,
): Coalition {
  return coalitionFrom(change(structuredClone(coalition.file)));
}

/** A seed that a test can name; the same name gives the same key everywhere. */
export function seedNamed(name: string): Bytes32 {
  return sha256(utf8(`test seed ${name}`));
}

export function keyNamed(name: string): SigningKey {
  return signingKey(seedNamed(name));
}

export function memberKey(ceremony: Ceremony, index: number): SigningKey {
  return signingKey(secretsOf(ceremony, index).seed);
}

export function secretsOf(ceremony: Ceremony, index: number): Ceremony["secrets"][number] {
  return must(ceremony.secrets[index - 1], `member ${index} exists`);
}

/** A grant under the committee's real threshold signature. `signers` are member indexes. */
export async function signGrant(
  ceremony: Ceremony,
  grant: ComputeGrant,
  signers: readonly number[] = ceremony.secrets.map((secrets) => secrets.index),
): Promise<SignedRecord> {
  const { coalition } = ceremony;
  const unsigned = unsignedRecord(coalition.network, "grant", grant);
  const message = signingInput(unsigned);
  const peers = signers.map((index) => {
    const signer = createSigner(coalition, index, secretsOf(ceremony, index).grantShare);
    return {
      index,
      commit: async () => signer.commit(),
      sign: async (commitments: Parameters<typeof signer.sign>[1]) =>
        signer.sign(message, commitments),
    };
  });
  const { signature } = await signTogether(coalition, message, peers, new Map());
  return { ...unsigned, signer: coalition.grantKey, signature };
}
