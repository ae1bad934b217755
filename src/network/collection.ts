/**
 * A replicated collection: entries under keys that derive from the signer or the signed content, so nobody can
 * overwrite another's entry. What a record must satisfy is the collection's spec; which of two records under one
 * key wins is a total order, so replicas converge whatever the order of arrival.
 */
import { type Bytes32, compare, toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import type { Codec } from "../base/schema.ts";
import type { SignedRecord } from "./record.ts";
import type { PeerKey } from "./transport.ts";

export interface Entry<T> {
  /** Hash of the record's bytes. */
  readonly id: Bytes32;
  readonly key: string;
  readonly body: T;
  readonly signer: Bytes32;
  readonly bytes: Uint8Array;
  /** When it reached this node: the tick that stood then, and its place among all arrivals here. */
  readonly arrivalTick: number;
  readonly arrivalOrder: number;
  /** The peer that brought it; absent for our own and for what comes through a relay of everybody's records. */
  readonly from: PeerKey | undefined;
}

const PEER = "peer ";

/** Shared by all collections of the process, so arrivals in different collections can be compared. */
let arrivals = 0;

export interface CollectionSpec<T> {
  readonly kind: string;
  readonly body: Codec<T>;
  readonly bytesMax: number;
  /** Bound on the whole collection. */
  readonly recordsMax: number;
  key(body: T, signer: Bytes32): string;
  /** Whose quota the entry counts against, and how many that owner may hold. */
  quota(body: T, signer: Bytes32): { readonly owner: string; readonly max: number };
  /** How many entries one peer may bring. A signer's keys may be free, a connection is at least something. */
  readonly perPeerMax?: number;
  /** The last tick at which the entry is worth keeping; asked again before the entry is dropped. */
  keepUntilTick(body: T, arrivalTick: number): number;
  /** Throws a BridgeError of family `record`; `lacks-context` means: ask again after a sync. */
  admit(body: T, signer: Bytes32, key: string): void;
  /** Rank under one key; higher wins, equal ranks fall to the smaller id. Default: all equal. */
  rank?(body: T): readonly number[];
}

/** What store and sync need of a collection, whatever its bodies are. */
export interface AnyCollection {
  readonly spec: { readonly kind: string };
  readonly version: number;
  readonly size: number;
  has(id: Bytes32): boolean;
  byId(id: string): Entry<unknown> | undefined;
  ids(): IterableIterator<string>;
  store(
    record: SignedRecord,
    id: Bytes32,
    bytes: Uint8Array,
    tick: number,
    from: PeerKey | undefined,
  ): Entry<unknown>;
  sweep(tick: number): string[];
}

export class Collection<T> implements AnyCollection {
  readonly spec: CollectionSpec<T>;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #byId = new Map<string, Entry<T>>();
  readonly #keepUntil = new Map<string, number>();
  readonly #held = new Map<string, number>();
  #version = 0;
  readonly #listeners = new Set<(entry: Entry<T>) => void>();

  constructor(spec: CollectionSpec<T>) {
    this.spec = spec;
  }

  /** Rises with every change; what is derived from the contents is cached under it. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Entry<T> | undefined {
    return this.#entries.get(key);
  }

  byId(id: string): Entry<T> | undefined {
    return this.#byId.get(id);
  }

  values(): IterableIterator<Entry<T>> {
    return this.#entries.values();
  }

  ids(): IterableIterator<string> {
    return this.#byId.keys();
  }

  /** Called for every entry that is stored from now on. Returns the way to stop. */
  subscribe(listener: (entry: Entry<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  has(id: Bytes32): boolean {
    return this.#byId.has(toHex(id));
  }

  /** Stores a record that is not known yet and whose signature holds. Throws the reason for a refusal. */
  store(
    record: SignedRecord,
    id: Bytes32,
    bytes: Uint8Array,
    tick: number,
    from: PeerKey | undefined,
  ): Entry<T> {
    const { spec } = this;
    if (bytes.length > spec.bytesMax) {
      throw new BridgeError("too-large", `a ${spec.kind} has at most ${spec.bytesMax} bytes`);
    }
    const body = spec.body.decode(record.body, spec.bytesMax);
    const key = spec.key(body, record.signer);
    arrivals += 1;
    const entry: Entry<T> = {
      id,
      key,
      body,
      signer: record.signer,
      bytes,
      arrivalTick: tick,
      arrivalOrder: arrivals,
      from,
    };
    const present = this.#entries.get(key);
    if (present !== undefined) mustWin(spec, entry, present);
    const keepUntil = spec.keepUntilTick(body, tick);
    if (keepUntil < tick) throw new BridgeError("expired", `this ${spec.kind} has lapsed`);
    spec.admit(body, record.signer, key);
    this.#makeRoom(entry, present);
    this.#put(entry, present, keepUntil);
    for (const listener of this.#listeners) listener(entry);
    return entry;
  }

  /** Drops what has lapsed; returns the keys. */
  sweep(tick: number): string[] {
    const due = [...this.#keepUntil].filter(([, until]) => until < tick).map(([key]) => key);
    const lapsed = due.filter((key) => this.#lapses(key, tick));
    for (const key of lapsed) this.#remove(key);
    return lapsed;
  }

  /** What the entry stands for may have come to matter longer since it arrived. */
  #lapses(key: string, tick: number): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return true;
    const until = this.spec.keepUntilTick(entry.body, entry.arrivalTick);
    this.#keepUntil.set(key, until);
    return until < tick;
  }

  #makeRoom(entry: Entry<T>, present: Entry<T> | undefined): void {
    const replaced = present === undefined ? [] : this.#accounts(present).map(({ owner }) => owner);
    for (const { owner, max } of this.#accounts(entry)) {
      const held = (this.#held.get(owner) ?? 0) - (replaced.includes(owner) ? 1 : 0);
      if (held < max) continue;
      const who = owner.startsWith(PEER) ? "peer" : "owner";
      throw new BridgeError(
        "over-quota",
        `this ${who} holds ${max} ${this.spec.kind} records already`,
      );
    }
    if (present === undefined && this.#entries.size >= this.spec.recordsMax) {
      throw new BridgeError("over-quota", `the ${this.spec.kind} collection is full`);
    }
  }

  /** Whose quotas the entry counts against. */
  #accounts({ body, signer, from }: Entry<T>): { owner: string; max: number }[] {
    const { quota, perPeerMax } = this.spec;
    const byPeer =
      from === undefined || perPeerMax === undefined
        ? []
        : [{ owner: PEER + from, max: perPeerMax }];
    return [quota(body, signer), ...byPeer];
  }

  #put(entry: Entry<T>, present: Entry<T> | undefined, keepUntil: number): void {
    if (present !== undefined) this.#remove(present.key);
    for (const { owner } of this.#accounts(entry))
      this.#held.set(owner, (this.#held.get(owner) ?? 0) + 1);
    this.#version += 1;
    this.#entries.set(entry.key, entry);
    this.#byId.set(toHex(entry.id), entry);
    this.#keepUntil.set(entry.key, keepUntil);
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    for (const { owner } of this.#accounts(entry)) {
      const left = (this.#held.get(owner) ?? 1) - 1;
      if (left > 0) this.#held.set(owner, left);
      else this.#held.delete(owner);
    }
    this.#version += 1;
    this.#entries.delete(key);
    this.#byId.delete(toHex(entry.id));
    this.#keepUntil.delete(key);
  }
}

/** Throws `stale-epoch` for a lower rank, `superseded` for a lost tie. */
function mustWin<T>(spec: CollectionSpec<T>, candidate: Entry<T>, present: Entry<T>): void {
  const a = spec.rank?.(candidate.body) ?? [];
  const b = spec.rank?.(present.body) ?? [];
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference > 0) return;
    if (difference < 0)
      throw new BridgeError("stale-epoch", `a newer ${spec.kind} stands under this key`);
  }
  if (compare(candidate.id, present.id) > 0) {
    throw new BridgeError(
      "superseded",
      `another ${spec.kind} of the same rank stands under this key`,
    );
  }
}
