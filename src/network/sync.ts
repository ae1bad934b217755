/**
 * Anti-entropy: the truth behind gossip. A node pulls what a peer has and it lacks: compare one root per
 * collection, then 256 bucket digests, then the ids of differing buckets, then fetch the missing records. A lost
 * message costs nothing but the wait for the next round, and a late or partitioned node converges.
 */
import { concat, equal, fromHex, toHex } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { BridgeError, hasCode } from "../base/errors.ts";
import { sha256 } from "../base/hash.ts";
import {
  ANSWER_BYTES_MAX,
  SYNC_FETCH_IDS_MAX,
  SYNC_IDS_MAX,
  SYNC_RECORDS_BYTES_MAX,
  SYNC_REQUEST_BYTES_MAX,
  SYNC_REQUEST_MS,
} from "../base/limits.ts";
import { codec, integer, strictObject, Type } from "../base/schema.ts";
import type { AnyCollection } from "./collection.ts";
import type { RecordStore } from "./store.ts";
import type { PeerKey, Transport } from "./transport.ts";

export const SYNC_PROTOCOL = "/compute-bridge/sync/1";

const ROOT_BYTES = 16;
const BUCKETS = 256;
const BUCKET_BYTES = 8;
const ID_BYTES = 32;

const requestCodec = codec(
  strictObject({
    want: Type.Union([
      Type.Literal("roots"),
      Type.Literal("buckets"),
      Type.Literal("ids"),
      Type.Literal("records"),
    ]),
    kind: Type.String({ maxLength: 32 }),
    /** Bucket numbers for `ids`, concatenated ids for `records`. */
    of: Type.Uint8Array({ maxByteLength: SYNC_REQUEST_BYTES_MAX }),
  }),
  "sync request",
);
type SyncRequest = ReturnType<typeof requestCodec.check>;

const rootsCodec = codec(
  Type.Array(
    strictObject({
      kind: Type.String({ maxLength: 32 }),
      root: Type.Uint8Array(),
      size: integer(),
    }),
    {
      maxItems: 64,
    },
  ),
  "sync roots",
);
const recordsCodec = codec(
  Type.Array(Type.Uint8Array(), { maxItems: SYNC_FETCH_IDS_MAX }),
  "sync records",
);

export interface PullResult {
  /** Records that were new to us. */
  readonly fresh: number;
  /** Records the peer sent and we refuse, with the first reason. */
  readonly refused: number;
  readonly firstRefusal: BridgeError | undefined;
  /** True when, after the pull, nothing the peer has is missing here except what we refuse. */
  readonly complete: boolean;
}

/** `charge` hears of every answer's size and throws `rate-limited` when the peer has had too much. */
export function serveSync(
  transport: Transport,
  store: RecordStore,
  charge: (peer: PeerKey, bytes: number) => void,
): void {
  transport.handle(SYNC_PROTOCOL, SYNC_REQUEST_BYTES_MAX + 256, (peer, bytes) => {
    const answer = answerTo(store, requestCodec.decode(bytes, SYNC_REQUEST_BYTES_MAX + 256));
    charge(peer, answer.length);
    return answer;
  });
}

function answerTo(store: RecordStore, request: SyncRequest): Uint8Array {
  if (request.want === "roots") {
    return encodeCanonical(
      store.collections.map((collection) => ({
        kind: collection.spec.kind,
        root: digestOf(collection).root,
        size: collection.size,
      })),
    );
  }
  const collection = store.collection(request.kind);
  if (collection === undefined)
    throw new BridgeError("unknown-kind", `no collection ${request.kind} here`);
  if (request.want === "buckets") return concat(...digestOf(collection).buckets);
  return request.want === "ids" ? idsIn(collection, request.of) : recordsOf(collection, request.of);
}

export interface Source {
  readonly peer: PeerKey;
  /** Whose quota the records count against; undefined for a peer that passes on everybody's. */
  readonly from: PeerKey | undefined;
}

/**
 * One pull from one peer. `refused` hears of every record we refuse; when it answers false, the pull ends there.
 * Throws what the transport throws.
 */
export async function pull(
  transport: Transport,
  store: RecordStore,
  { peer, from }: Source,
  signal: AbortSignal,
  refused: (error: BridgeError) => boolean = () => true,
): Promise<PullResult> {
  const ask = (want: SyncRequest["want"], kind: string, of: Uint8Array): Promise<Uint8Array> =>
    transport.request(peer, SYNC_PROTOCOL, encodeCanonical({ want, kind, of }), {
      timeoutMs: SYNC_REQUEST_MS,
      signal,
    });
  const none = new Uint8Array(0);
  const roots = rootsCodec.decode(await ask("roots", "", none), ANSWER_BYTES_MAX);
  const total = {
    fresh: 0,
    refused: 0,
    firstRefusal: undefined as BridgeError | undefined,
    complete: true,
  };
  let goOn = true;
  for (const collection of store.collections) {
    const theirs = roots.find((root) => root.kind === collection.spec.kind);
    if (theirs === undefined || theirs.size === 0) continue;
    const own = digestOf(collection);
    if (equal(theirs.root, own.root)) continue;
    const buckets = await ask("buckets", collection.spec.kind, none);
    const differing = own.buckets.flatMap((digest, i) =>
      equal(digest, buckets.subarray(i * BUCKET_BYTES, (i + 1) * BUCKET_BYTES)) ? [] : [i],
    );
    const step = bucketsPerAnswer(theirs.size);
    for (let first = 0; first < differing.length && goOn; first += step) {
      const asked = Uint8Array.from(differing.slice(first, first + step));
      const ids = splitIds(await ask("ids", collection.spec.kind, asked));
      if (ids.length > SYNC_IDS_MAX)
        throw new BridgeError("malformed", "too many ids in one answer");
      if (ids.length === SYNC_IDS_MAX) total.complete = false;
      const missing = ids.filter((id) => collection.byId(toHex(id)) === undefined);
      await fetchMissing(missing, collection.spec.kind);
    }
  }
  if (!goOn) total.complete = false;
  return total;

  async function fetchMissing(missing: readonly Uint8Array[], kind: string): Promise<void> {
    let rest = missing;
    while (rest.length > 0 && goOn) {
      const batch = rest.slice(0, SYNC_FETCH_IDS_MAX);
      const records = recordsCodec.decode(
        await ask("records", kind, concat(...batch)),
        ANSWER_BYTES_MAX,
      );
      if (records.length === 0) return;
      for (const bytes of records) if (bytes.length > 0 && goOn) take(bytes);
      rest = rest.slice(records.length);
    }
  }

  function take(bytes: Uint8Array): void {
    try {
      if (store.offer(bytes, from).fresh) total.fresh += 1;
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error;
      if (hasCode(error, "lacks-context")) total.complete = false;
      total.refused += 1;
      total.firstRefusal ??= error;
      goOn = refused(error);
    }
  }
}

/** So few that their ids fit one answer, however unevenly they fill; a peer with more is asked several times. */
function bucketsPerAnswer(size: number): number {
  return Math.min(BUCKETS, Math.max(1, Math.floor((BUCKETS * SYNC_IDS_MAX) / (2 * size))));
}

interface Digest {
  readonly version: number;
  readonly buckets: readonly Uint8Array[];
  readonly root: Uint8Array;
}

const digests = new WeakMap<AnyCollection, Digest>();

/** Computed anew only when the collection has changed. */
function digestOf(collection: AnyCollection): Digest {
  const cached = digests.get(collection);
  if (cached?.version === collection.version) return cached;
  const buckets = bucketDigests(collection);
  const root = sha256(concat(...buckets)).subarray(0, ROOT_BYTES);
  const digest = { version: collection.version, buckets, root };
  digests.set(collection, digest);
  return digest;
}

const EMPTY_BUCKET = sha256().subarray(0, BUCKET_BYTES);

function bucketDigests(collection: AnyCollection): Uint8Array[] {
  const buckets: string[][] = Array.from({ length: BUCKETS }, () => []);
  for (const id of collection.ids()) buckets[Number.parseInt(id.slice(0, 2), 16)]?.push(id);
  return buckets.map((ids) =>
    ids.length === 0
      ? EMPTY_BUCKET
      : sha256(fromHex(ids.sort().join(""))).subarray(0, BUCKET_BYTES),
  );
}

function idsIn(collection: AnyCollection, buckets: Uint8Array): Uint8Array {
  const wanted = new Set(buckets);
  const ids: Uint8Array[] = [];
  for (const id of collection.ids()) {
    if (ids.length === SYNC_IDS_MAX) break;
    if (wanted.has(Number.parseInt(id.slice(0, 2), 16))) ids.push(fromHex(id));
  }
  return concat(...ids);
}

/** The first of the asked records that fit one answer, empty where one has lapsed since it was listed. */
function recordsOf(collection: AnyCollection, ids: Uint8Array): Uint8Array {
  const records: Uint8Array[] = [];
  const asked = splitIds(ids);
  if (new Set(asked.map(toHex)).size < asked.length)
    throw new BridgeError("malformed", "an id is asked for twice");
  let total = 0;
  for (const id of asked) {
    const bytes = collection.byId(toHex(id))?.bytes ?? new Uint8Array(0);
    total += bytes.length + 5;
    if (total > SYNC_RECORDS_BYTES_MAX) break;
    records.push(bytes);
  }
  return encodeCanonical(records);
}

function splitIds(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length % ID_BYTES !== 0) throw new BridgeError("malformed", "the id list is cut off");
  return Array.from({ length: bytes.length / ID_BYTES }, (_, i) =>
    bytes.subarray(i * ID_BYTES, (i + 1) * ID_BYTES),
  );
}
