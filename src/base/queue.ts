/**
 * A bounded queue that says no. External work competes for `capacity` places; a worker that will certainly
 * report back reserves a place first, so its report never waits and the consumer never waits for a worker.
 */
import { assert } from "./assert.ts";

export interface Reservation<T> {
  /** Uses the reservation up; always succeeds, once. */
  fill(item: T): void;
  /** Gives the place back unused. */
  release(): void;
}

export class BoundedQueue<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  #reserved = 0;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(capacity: number) {
    assert(capacity > 0, "a queue needs room for at least one item");
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#items.length;
  }

  /** False when full or closed: the caller decides what dropping means. */
  offer(item: T): boolean {
    if (this.#closed || this.#items.length + this.#reserved >= this.#capacity) return false;
    this.#push(item);
    return true;
  }

  /** A place for one later item, or undefined when none is free. */
  reserve(): Reservation<T> | undefined {
    if (this.#closed || this.#items.length + this.#reserved >= this.#capacity) return undefined;
    this.#reserved += 1;
    let open = true;
    const settle = (): void => {
      assert(open, "a reservation is used once");
      open = false;
      this.#reserved -= 1;
    };
    return {
      fill: (item) => {
        settle();
        if (!this.#closed) this.#push(item);
      },
      release: settle,
    };
  }

  /** Waits for at least one item, then takes up to `max`. An empty array means closed. */
  async take(max: number): Promise<T[]> {
    while (this.#items.length === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#items.splice(0, max);
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  #push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
    this.#wake = undefined;
  }
}
