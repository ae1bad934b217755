/**
 * All collections of one node. Every record comes through `offer`, whoever brings it: decoded, its signature
 * checked, admitted by its collection, then stored, and only then passed on.
 */
import type { Bytes32 } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Archive } from "./archive.ts";
import type { AnyCollection, Entry } from "./collection.ts";
import { checkSignature, decodeRecord, recordId } from "./record.ts";
import type { PeerKey } from "./transport.ts";

export interface Offered {
  /** True when the record was not known before. */
  readonly fresh: boolean;
  readonly kind: string;
}

export interface RecordStore {
  readonly network: Bytes32;
  /** In the order in which records depend on each other. */
  readonly collections: readonly AnyCollection[];
  /** `from`: the peer whose quota it counts against. Throws a BridgeError that says why the record is refused. */
  offer(bytes: Uint8Array, from?: PeerKey): Offered;
  collection(kind: string): AnyCollection | undefined;
  /** Drops lapsed entries. */
  sweep(): void;
  /** Called with every record newly stored. */
  onStored(listener: (entry: Entry<unknown>, kind: string) => void): void;
}

export interface StoreOptions {
  readonly network: Bytes32;
  readonly collections: readonly AnyCollection[];
  readonly tick: () => number;
  readonly archive?: Archive;
  readonly log: Logger;
}

export function createStore(options: StoreOptions): RecordStore {
  const { network, collections, archive } = options;
  const byKind = new Map(collections.map((collection) => [collection.spec.kind, collection]));
  const listeners: ((entry: Entry<unknown>, kind: string) => void)[] = [];

  const offer = (bytes: Uint8Array, from: PeerKey | undefined, keep = true): Offered => {
    const record = decodeRecord(bytes);
    const collection = byKind.get(record.kind);
    if (collection === undefined || record.version !== 1) {
      throw new BridgeError(
        "unknown-kind",
        `no collection takes ${record.kind} version ${record.version}`,
      );
    }
    const id = recordId(bytes);
    if (collection.has(id)) return { fresh: false, kind: record.kind };
    checkSignature(record, network);
    const entry = collection.store(record, id, bytes, options.tick(), from);
    if (keep) archiving(record.kind, () => archive?.put(record.kind, entry.key, bytes));
    for (const listener of listeners) listener(entry, record.kind);
    return { fresh: true, kind: record.kind };
  };

  const store: RecordStore = {
    network,
    collections,
    offer: (bytes, from) => offer(bytes, from),
    collection: (kind) => byKind.get(kind),
    sweep() {
      for (const collection of collections) {
        const { kind } = collection.spec;
        for (const key of collection.sweep(options.tick()))
          archiving(kind, () => archive?.remove(kind, key));
      }
    },
    onStored: (listener) => void listeners.push(listener),
  };
  restore();
  return store;

  /** A full disk must not keep the record from those who wait for it here: after a restart sync brings it back. */
  function archiving(kind: string, write: () => void): void {
    try {
      write();
    } catch (error) {
      options.log.error("archive-unwritable", { kind, error });
    }
  }

  function restore(): void {
    if (archive === undefined) return;
    for (const collection of collections) {
      for (const { key, bytes } of archive.load(collection.spec.kind)) {
        try {
          offer(bytes, undefined, false);
        } catch (error) {
          archiving(collection.spec.kind, () => archive.remove(collection.spec.kind, key));
          options.log.debug("archived-record-dropped", { kind: collection.spec.kind, error });
        }
      }
    }
  }
}
