/** Scripted providers and requesters around a real committee: what they sign is real, what they do is the test's. */
import { must } from "../../src/base/assert.ts";
import { toHex } from "../../src/base/bytes.ts";
import type { ComputeGrant, RefusalCode } from "../../src/coalition/grant.ts";
import { attemptKey } from "../../src/coalition/ids.ts";
import type { ComputeRequest } from "../../src/coalition/request.ts";
import { requestId } from "../../src/coalition/request.ts";
import type { Order } from "../../src/zipnet/compose.ts";
import { composeRequest } from "../../src/zipnet/compose.ts";
import { type ProviderActor, providerActor, testOffer, testOrder } from "../support/actors.ts";
import type { Committee, Onlooker } from "../support/committee.ts";

/** What a provider does with a grant to it. */
export type Behaviour = (grant: ComputeGrant) => "admit" | "ignore" | RefusalCode;

export interface Stand extends Onlooker {
  readonly actor: ProviderActor;
  /** Grants to it, in the order of their arrival. */
  readonly granted: readonly ComputeGrant[];
  /** Puts a newer card out. */
  card(change?: Parameters<ProviderActor["card"]>[0]): void;
}

/** A provider with one offer that serves every test order. */
export async function stand(
  of: Committee,
  name: string,
  behave: Behaviour,
  terms: Parameters<typeof testOffer>[0] = {},
): Promise<Stand> {
  const actor = providerActor(of.coalition, name);
  const onlooker = await of.onlooker(actor.bootSeed);
  const { replica } = onlooker.network;
  const granted: ComputeGrant[] = [];
  onlooker.records.grants.subscribe(({ body: grant }) => {
    if (toHex(grant.providerId) !== toHex(actor.id)) return;
    granted.push(grant);
    const what = behave(grant);
    if (what === "ignore") return;
    const [kind, body] =
      what === "admit"
        ? ["admission", actor.admission(grant)]
        : ["refusal", actor.refusal(grant, what)];
    queueMicrotask(() => replica.publish(actor.sign(kind as string, body as object)));
  });
  await meet(of, onlooker);
  let counter = 0;
  const card: Stand["card"] = (change = {}) => {
    counter += 1;
    const tick = onlooker.records.tick().seq;
    const offers = [testOffer(terms)];
    replica.publish(actor.sign("card", actor.card({ tick, counter, offers, ...change })));
  };
  card();
  await of.clock.advance(100);
  return { ...onlooker, actor, granted, card };
}

/** Waits until the onlooker has seen what the members hold. */
export async function meet(of: Committee, { network }: Onlooker): Promise<void> {
  const { grantThreshold } = of.coalition.file.committee;
  const converged = network.replica.converged(
    of.peers,
    grantThreshold,
    new AbortController().signal,
  );
  await of.clock.run(converged, 30_000, "the first sync");
}

export interface Asked {
  readonly request: ComputeRequest;
  readonly id: Uint8Array;
}

/** Composes a request on a running member's tick without sending it; `fits` chooses among many. */
export function compose(
  of: Committee,
  order: Partial<Order> = {},
  fits: (asked: Asked) => boolean = () => true,
): Asked & { readonly record: ReturnType<typeof composeRequest>["record"] } {
  const tick = must(of.running()[0], "a running member").records.tick().seq;
  for (let i = 0; i < 1000; i += 1) {
    const { record, request } = composeRequest(of.coalition, testOrder(order), tick);
    const asked = { request, id: requestId(request), record };
    if (fits(asked)) return asked;
  }
  throw new Error("no composed request fits");
}

/** Hands a request to the first running member. */
export function send(of: Committee, { record }: Pick<ReturnType<typeof compose>, "record">): void {
  must(of.running()[0], "a running member").network.replica.publish(record);
}

/** Every grant of a request that any running member holds, as `attempt provider`, without repetition. */
export function grantsOf(of: Committee, id: Uint8Array): string[] {
  const found = new Set<string>();
  for (const { records } of of.running()) {
    for (const attempt of [1, 2, 3]) {
      const grant = records.grants.get(attemptKey(id, attempt))?.body;
      if (grant !== undefined) found.add(`${attempt} ${toHex(grant.providerId).slice(0, 8)}`);
    }
  }
  return [...found].sort();
}
