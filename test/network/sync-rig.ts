/** A node that is asked to sync: one that serves a store, or one that answers what a script says. */
import { toHex } from "../../src/base/bytes.ts";
import { decodeCanonical, encodeCanonical } from "../../src/base/canonical.ts";
import { type BridgeError, codeOf, type ErrorCode } from "../../src/base/errors.ts";
import type { RecordStore } from "../../src/network/store.ts";
import { type PullResult, pull, SYNC_PROTOCOL, serveSync } from "../../src/network/sync.ts";
import { keyNamed } from "../support/coalition.ts";
import { bareNode, type World, world } from "./peers.ts";

const never = new AbortController().signal;
export const alice = keyNamed("alice");
const peerAlice = toHex(alice.publicKey);
const source = { peer: peerAlice, from: peerAlice };

/** A node that serves this store, asked by another node. */
export async function served(
  store: RecordStore,
): Promise<World & { ask(body: Uint8Array): Promise<Uint8Array>; pullInto: PullInto }> {
  const at = world();
  const [server, client] = [await bareNode(at, "alice"), await bareNode(at, "bob")];
  serveSync(server, store, () => {});
  return {
    ...at,
    ask: (body) =>
      at.clock.run(
        client.request(peerAlice, SYNC_PROTOCOL, body, { timeoutMs: 1000 }),
        2000,
        "an answer",
      ),
    pullInto: (into, refused) =>
      at.clock.run(pull(client, into, source, never, refused), 600_000, "the pull"),
  };
}
export type PullInto = (
  into: RecordStore,
  refused?: (error: BridgeError) => boolean,
) => Promise<PullResult>;

/** A peer that answers what the script says, by what is wanted. */
export async function scripted(
  script: Partial<Record<string, (of: Uint8Array) => Uint8Array>>,
): Promise<PullInto> {
  const at = world();
  const [server, client] = [await bareNode(at, "alice"), await bareNode(at, "bob")];
  server.handle(SYNC_PROTOCOL, 64 * 1024, (_, body) => {
    const { want, of } = decodeCanonical(body, 64 * 1024) as { want: string; of: Uint8Array };
    return script[want]?.(of) ?? new Uint8Array(0);
  });
  return (into, refused) =>
    at.clock.run(pull(client, into, source, never, refused), 600_000, "the pull");
}

export const oneRoot = (size: number) => () =>
  encodeCanonical([{ kind: "note", root: new Uint8Array(16), size }]);

export async function codeOfRejection(promise: Promise<unknown>): Promise<ErrorCode | undefined> {
  return await promise.then(() => undefined, codeOf);
}
