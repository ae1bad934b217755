/**
 * The one writer. Events enter one bounded queue; each is applied by the pure transition; a batch is on disk before
 * any effect of it runs. Many events may share one sync to disk, but they are applied one at a time, in order.
 */
import type { Clock } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import {
  EVENTS_PER_COMMIT_MAX,
  EXTERNAL_EVENTS_MAX,
  GRANTS_MAX,
  JOURNAL_RETRY_MS,
  WORKERS_MAX,
} from "../base/limits.ts";
import { correlate, type Logger } from "../base/log.ts";
import { BoundedQueue } from "../base/queue.ts";
import { type Books, dayOf, EMPTY_BOOKS, rebook } from "./books.ts";
import type { GrantEvent } from "./events.ts";
import type { Change, Journal } from "./journal.ts";
import { type GrantState, isSettled } from "./state.ts";
import { totalsOf } from "./totals.ts";
import { begin, type TransitionContext, transition } from "./transition.ts";
import { type EffectHandler, startWorkers } from "./workers.ts";

export interface GrantChange {
  readonly before: GrantState | undefined;
  readonly after: GrantState;
  readonly event: GrantEvent["type"];
  readonly atMs: number;
}

export interface Ledger {
  /** False when the queue is full or the journal cannot be written: whoever offers must offer again later. */
  offer(key: string, event: GrantEvent): boolean;
  /** Known in any state, settled ones included. */
  knows(key: string): boolean;
  get(key: string): GrantState | undefined;
  live(): Iterable<GrantState>;
  books(): Books;
  totals(): ReadonlyMap<string, number>;
  /** Why nothing is admitted at the moment, or undefined. */
  fault(): BridgeError | undefined;
  /** Called when `fault` begins or ends. */
  onFault(listener: () => void): void;
  /** Called after a change is on disk. */
  onChange(listener: (change: GrantChange) => void): void;
  /** Stops workers and the writer; what was under way is done again after a restart. */
  stop(): Promise<void>;
}

export interface LedgerOptions {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Logger;
  /** Everything but the books, which only the writer knows. */
  readonly context: () => Omit<TransitionContext, "books">;
  readonly handle: EffectHandler;
  /** Until it resolves no envelope is opened and no machine asked for; what runs is watched, ended and logged. */
  readonly maySpend: Promise<void>;
}

interface Item {
  readonly key: string;
  readonly event: GrantEvent;
}

export function startLedger(options: LedgerOptions): Ledger {
  const { journal, clock, log } = options;
  // Room for every worker's report besides the external events.
  const queue = new BoundedQueue<Item>(EXTERNAL_EVENTS_MAX + WORKERS_MAX + 4 * GRANTS_MAX);
  const live = new Map(journal.live().map((state) => [state.key, state]));
  const listeners: ((change: GrantChange) => void)[] = [];
  const faultListeners: (() => void)[] = [];
  const totals = journal.totals();
  let books = openBooks(journal, live.values(), clock.nowMs());
  let fault: BridgeError | undefined;
  let stopped = false;

  const workers = startWorkers({
    queue,
    clock,
    log,
    handle: options.handle,
    maySpend: options.maySpend,
    stateOf: (key) => live.get(key),
  });
  const writer = write();
  for (const state of live.values()) workers.want(state);

  return {
    offer(key, event) {
      if (fault !== undefined && event.type === "granted") return false;
      if (queue.length >= EXTERNAL_EVENTS_MAX) return false;
      return queue.offer({ key, event });
    },
    knows: (key) => live.has(key) || journal.has(key),
    get: (key) => live.get(key) ?? journal.get(key),
    live: () => live.values(),
    books: () => books,
    totals: () => totals,
    fault: () => fault,
    onFault: (listener) => void faultListeners.push(listener),
    onChange: (listener) => void listeners.push(listener),
    async stop() {
      stopped = true;
      await workers.stop();
      queue.close();
      await writer;
    },
  };

  async function write(): Promise<void> {
    for (;;) {
      const items = await queue.take(EVENTS_PER_COMMIT_MAX);
      if (items.length === 0) return;
      await applyUntilWritten(items);
    }
  }

  /** A full or read-only disk loses nothing: the batch waits, new grants are not taken, an alarm is raised. */
  async function applyUntilWritten(items: readonly Item[]): Promise<void> {
    for (;;) {
      try {
        apply(items);
        if (fault === undefined) return;
        log.info("journal-recovered");
        setFault(undefined);
        return;
      } catch (error) {
        if (!(error instanceof BridgeError) || error.code !== "journal-unwritable") throw error;
        if (fault === undefined) log.error("journal-unwritable", { error, waiting: items.length });
        setFault(error);
        if (stopped) return; // done again after the restart
        await clock.sleep(JOURNAL_RETRY_MS);
      }
    }
  }

  function setFault(next: BridgeError | undefined): void {
    const changed = (fault === undefined) !== (next === undefined);
    fault = next;
    if (changed) for (const listener of faultListeners) listener();
  }

  function apply(items: readonly Item[]): void {
    const nowMs = Math.floor(clock.nowMs());
    const drafts = new Map<string, GrantState>();
    const changes: (Change & GrantChange)[] = [];
    const added = new Map<string, number>();
    let draftBooks = books;
    for (const { key, event } of items) {
      const before = drafts.get(key) ?? live.get(key);
      const context = { ...options.context(), nowMs, books: draftBooks };
      const after = step(before, key, event, context);
      if (after === undefined || after === before) continue;
      drafts.set(key, after);
      draftBooks = rebook(draftBooks, before, after);
      for (const [name, amount] of totalsOf(before, after, event))
        added.set(name, (added.get(name) ?? 0) + amount);
      changes.push({ before, after, event: event.type, atMs: nowMs });
    }
    if (changes.length === 0) return;
    journal.commit(changes, added, nowMs);
    books = draftBooks;
    for (const [name, amount] of added) totals.set(name, (totals.get(name) ?? 0) + amount);
    for (const state of drafts.values()) {
      if (isSettled(state)) live.delete(state.key);
      else live.set(state.key, state);
      workers.want(state);
    }
    for (const change of changes) announce(change);
  }

  function step(
    before: GrantState | undefined,
    key: string,
    event: GrantEvent,
    context: TransitionContext,
  ): GrantState | undefined {
    if (before !== undefined) return transition(before, event, context);
    if (event.type !== "granted" || journal.has(key)) return undefined;
    // Not even a refusal: the newer instance answers for this provider.
    if (context.standing === "fenced") return undefined;
    return begin(event, context);
  }

  function announce(change: GrantChange): void {
    const { before, after, event } = change;
    if (before?.state !== after.state) {
      const code = "code" in after ? { code: after.code } : {};
      log.info("grant", {
        grant: correlate(after.grantId),
        state: after.state,
        on: event,
        ...code,
      });
    }
    for (const listener of listeners) listener(change);
  }
}

function openBooks(journal: Journal, live: Iterable<GrantState>, nowMs: number): Books {
  const today = dayOf(nowMs);
  let books: Books = { ...EMPTY_BOOKS, spendMicrosByDay: journal.settledSpend(today - 1) };
  for (const state of live) books = rebook(books, undefined, state);
  return books;
}
