/**
 * Records for a network that has been up for a while, every one of them signed by whoever must: cards of many operators,
 * requests, and grants under the committee's threshold signature with their admissions and chains of logs.
 */
import { must } from "../../src/base/assert.ts";
import { signingKey } from "../../src/base/ed25519.ts";
import { HOUR_MS } from "../../src/base/limits.ts";
import type { Tick } from "../../src/coalition/almanac.ts";
import type { Ceremony } from "../../src/coalition/ceremony.ts";
import type { ComputeGrant } from "../../src/coalition/grant.ts";
import type { ComputeLog } from "../../src/coalition/log.ts";
import { encodeRecord, type SignedRecord } from "../../src/network/record.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { grantOf, type ProviderActor, providerActor, testOrder } from "../support/actors.ts";
import { seedNamed, signGrant } from "../support/coalition.ts";

export interface Mix {
  readonly cards: number;
  /** Each with its request and its admission. */
  readonly grants: number;
  /** Of every grant, in one chain. */
  readonly logsPerGrant: number;
}

const PROVIDERS_PER_OPERATOR = 50;
const TERM_MS = 4 * HOUR_MS;

export function countOf({ cards, grants, logsPerGrant }: Mix): number {
  return cards + grants * (3 + logsPerGrant);
}

/** Encoded, in the order in which they depend on each other. */
export async function makeRecords(
  ceremony: Ceremony,
  tick: Tick,
  mix: Mix,
): Promise<readonly Uint8Array[]> {
  const { coalition } = ceremony;
  const providers = Array.from({ length: mix.cards }, (_, i) => providerOf(ceremony, i));
  const records: SignedRecord[] = providers.map((provider) =>
    provider.sign("card", provider.card({ tick: tick.seq })),
  );
  const composed = Array.from({ length: mix.grants }, () =>
    composeRequest(
      coalition,
      testOrder({ patienceTicks: coalition.file.compute.requestTicks }),
      tick.seq,
    ),
  );
  records.push(...composed.map(({ record }) => record));
  for (const [i, { request }] of composed.entries()) {
    const provider = must(providers[i % providers.length], "there are providers");
    const grant = grantOf(coalition, request, provider.card(), {
      validToTick: tick.seq + TERM_MS / coalition.file.almanac.periodMs,
      notAfterMs: tick.timeMs + TERM_MS,
    });
    records.push(await signGrant(ceremony, grant, [1, 2]));
    records.push(provider.sign("admission", provider.admission(grant, { tick: tick.seq })));
    records.push(...logsOf(provider, grant, mix.logsPerGrant));
  }
  return records.map(encodeRecord);
}

function providerOf({ coalition }: Ceremony, i: number): ProviderActor {
  const operator = signingKey(seedNamed(`operator ${Math.floor(i / PROVIDERS_PER_OPERATOR)}`));
  return providerActor(coalition, `provider-${i}`, { operator, notAfterMs: Date.now() + TERM_MS });
}

function logsOf(provider: ProviderActor, grant: ComputeGrant, count: number): SignedRecord[] {
  const chain: ComputeLog[] = [];
  for (let i = 0; i < count; i += 1) chain.push(provider.log(grant, "interim", chain.at(-1)));
  return chain.map((log) => provider.sign("log", log));
}
