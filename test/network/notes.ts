/** A small collection with every feature a spec can have, for tests of the network layer alone. */
import { toHex, utf8 } from "../../src/base/bytes.ts";
import type { SigningKey } from "../../src/base/ed25519.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { sha256, taggedHash } from "../../src/base/hash.ts";
import { silentLogger } from "../../src/base/log.ts";
import { codec, integer, type Static, strictObject, Type } from "../../src/base/schema.ts";
import type { Archive } from "../../src/network/archive.ts";
import { Collection, type CollectionSpec } from "../../src/network/collection.ts";
import { encodeRecord, signRecord } from "../../src/network/record.ts";
import { createStore, type RecordStore } from "../../src/network/store.ts";
import { flipped } from "../support/arbitraries.ts";

export const NETWORK = taggedHash("compute-bridge/test-network/v1");
export const OTHER_NETWORK = taggedHash("compute-bridge/test-network/v1", "other");

const NoteSchema = strictObject({
  slot: integer(0),
  rank: integer(0),
  untilTick: integer(0),
  /** Slot of the same signer that must be known first; -1 for none. */
  after: integer(-1),
  text: Type.String(),
});
export type Note = Static<typeof NoteSchema>;

export function note(change: Partial<Note> = {}): Note {
  return { slot: 0, rank: 0, untilTick: 1000, after: -1, text: "", ...change };
}

export interface NoteLimits {
  readonly kind?: string;
  readonly perSigner?: number;
  readonly perPeerMax?: number;
  readonly recordsMax?: number;
  readonly bytesMax?: number;
}

export function notes(limits: NoteLimits = {}): Collection<Note> {
  const { kind = "note", perSigner = 10_000, recordsMax = 100_000, bytesMax = 6000 } = limits;
  const spec: CollectionSpec<Note> = {
    kind,
    body: codec(NoteSchema, "note"),
    bytesMax,
    recordsMax,
    ...(limits.perPeerMax === undefined ? {} : { perPeerMax: limits.perPeerMax }),
    key: ({ slot }, signer) => `${toHex(signer)}:${slot}`,
    quota: (_, signer) => ({ owner: toHex(signer), max: perSigner }),
    keepUntilTick: ({ untilTick }) => untilTick,
    rank: ({ rank }) => [rank],
    admit({ after, text }, signer) {
      if (text === "forbidden") throw new BridgeError("not-endorsed", "nobody may write that");
      if (after >= 0 && collection.get(`${toHex(signer)}:${after}`) === undefined) {
        throw new BridgeError("lacks-context", "the note before is not known here");
      }
    },
  };
  const collection = new Collection<Note>(spec);
  return collection;
}

export interface NoteStore {
  readonly store: RecordStore;
  readonly notes: Collection<Note>;
  tick: number;
}

export function noteStore(options: NoteLimits & { archive?: Archive } = {}): NoteStore {
  const held = notes(options);
  const time = { tick: 0 };
  const store = createStore({
    network: NETWORK,
    collections: [held],
    tick: () => time.tick,
    log: silentLogger,
    ...(options.archive === undefined ? {} : { archive: options.archive }),
  });
  return Object.assign(time, { store, notes: held });
}

export function noteBytes(key: SigningKey, change: Partial<Note> = {}, kind = "note"): Uint8Array {
  return encodeRecord(signRecord(key, NETWORK, kind, note(change)));
}

/** A note whose signature does not hold. */
export function forgedBytes(key: SigningKey, change: Partial<Note> = {}): Uint8Array {
  const bytes = noteBytes(key, change);
  return flipped(bytes, bytes.length - 40); // the signature stands last
}

/** What a replica holds, as one value that two replicas can be compared by. */
export function holdings({ notes: held }: Pick<NoteStore, "notes">): string {
  const ids = [...held.ids()].sort();
  return `${ids.length} records, ${toHex(sha256(utf8(ids.join()))).slice(0, 16)}`;
}
