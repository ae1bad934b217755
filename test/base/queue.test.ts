import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BoundedQueue, type Reservation } from "../../src/base/queue.ts";
import { codeThrownBy } from "../support/codes.ts";

describe("bounds", () => {
  test("says no when full and yes again after a take", async () => {
    const queue = new BoundedQueue<number>(2);
    expect([queue.offer(1), queue.offer(2), queue.offer(3)]).toEqual([true, true, false]);
    expect(await queue.take(1)).toEqual([1]);
    expect(queue.offer(4)).toBe(true);
    expect(await queue.take(9)).toEqual([2, 4]);
  });

  test("a reserved place is taken: offers and other reservations see it", () => {
    const queue = new BoundedQueue<number>(2);
    const first = queue.reserve();
    expect(queue.offer(1)).toBe(true);
    expect(queue.offer(2)).toBe(false);
    expect(queue.reserve()).toBeUndefined();
    first?.release();
    expect(queue.offer(2)).toBe(true);
  });

  test("a reservation always finds its place, however full the queue got meanwhile", async () => {
    const queue = new BoundedQueue<string>(2);
    const slot = queue.reserve();
    expect([queue.offer("a"), queue.offer("b")]).toEqual([true, false]);
    slot?.fill("reserved");
    expect(await queue.take(9)).toEqual(["a", "reserved"]);
  });

  test("a reservation is used once", () => {
    const slot = new BoundedQueue<number>(1).reserve();
    slot?.fill(1);
    expect(codeThrownBy(() => slot?.fill(2))).toBe("invariant");
    expect(codeThrownBy(() => slot?.release())).toBe("invariant");
  });

  test("a queue without room is a bug", () => {
    expect(codeThrownBy(() => new BoundedQueue(0))).toBe("invariant");
  });
});

describe("waiting and closing", () => {
  test("take waits for an offer, and for a filled reservation", async () => {
    const queue = new BoundedQueue<number>(2);
    const slot = queue.reserve();
    const first = queue.take(9);
    queue.offer(1);
    expect(await first).toEqual([1]);
    const second = queue.take(9);
    slot?.fill(2);
    expect(await second).toEqual([2]);
  });

  test("close wakes a waiting take, which then finds nothing", async () => {
    const queue = new BoundedQueue<number>(1);
    const waiting = queue.take(1);
    queue.close();
    expect(await waiting).toEqual([]);
    expect(await queue.take(1)).toEqual([]);
  });

  test("what was in the queue at close is still handed out", async () => {
    const queue = new BoundedQueue<number>(3);
    queue.offer(1);
    queue.offer(2);
    queue.close();
    expect(queue.offer(3)).toBe(false);
    expect(queue.reserve()).toBeUndefined();
    expect(await queue.take(1)).toEqual([1]);
    expect(await queue.take(1)).toEqual([2]);
    expect(await queue.take(1)).toEqual([]);
  });

  test("a reservation filled after close is dropped without an error", async () => {
    const queue = new BoundedQueue<number>(1);
    const slot = queue.reserve();
    queue.close();
    slot?.fill(1);
    expect(await queue.take(1)).toEqual([]);
  });
});

type Step =
  | { readonly kind: "offer" }
  | { readonly kind: "reserve" }
  | { readonly kind: "close" }
  | { readonly kind: "fill"; readonly which: number }
  | { readonly kind: "release"; readonly which: number }
  | { readonly kind: "take"; readonly max: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Step>({ kind: "offer" }) },
  { weight: 4, arbitrary: fc.constant<Step>({ kind: "reserve" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "close" }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom("fill", "release"), which: fc.nat(99) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("take"), max: fc.integer({ min: 1, max: 4 }) }),
  },
);

/** The queue as a plain list and a count: what every interleaving has to agree with. */
interface Model {
  items: number[];
  open: Reservation<number>[];
  closed: boolean;
  next: number;
}

async function apply(
  step: Step,
  queue: BoundedQueue<number>,
  model: Model,
  capacity: number,
): Promise<void> {
  const room = !model.closed && model.items.length + model.open.length < capacity;
  if (step.kind === "offer") {
    expect(queue.offer(model.next)).toBe(room);
    if (room) model.items.push(model.next);
    model.next += 1;
  } else if (step.kind === "reserve") {
    const slot = queue.reserve();
    expect(slot !== undefined).toBe(room);
    if (slot !== undefined) model.open.push(slot);
  } else if (step.kind === "close") {
    queue.close();
    model.closed = true;
  } else if (step.kind === "take") {
    if (model.items.length === 0 && !model.closed) return; // it would wait: the tests above cover that
    expect(await queue.take(step.max)).toEqual(model.items.splice(0, step.max));
  } else {
    const [slot] = model.open.splice(step.which % Math.max(1, model.open.length), 1);
    if (step.kind === "release") slot?.release();
    else if (slot !== undefined) {
      slot.fill(model.next);
      if (!model.closed) model.items.push(model.next);
      model.next += 1;
    }
  }
}

test("every interleaving keeps order, loses nothing and never exceeds the capacity", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(step, { maxLength: 60 }),
      async (capacity, steps) => {
        const queue = new BoundedQueue<number>(capacity);
        const model: Model = { items: [], open: [], closed: false, next: 0 };
        for (const next of steps) {
          await apply(next, queue, model, capacity);
          expect(queue.length).toBe(model.items.length);
          expect(queue.length + model.open.length).toBeLessThanOrEqual(capacity);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("producers and one consumer that truly interleave lose and reorder nothing", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.integer({ min: 1, max: 4 }),
      async (scheduler, capacity) => {
        const queue = new BoundedQueue<number>(capacity);
        const accepted: number[] = [];
        const seen: number[] = [];
        const consumer = (async () => {
          for (;;) {
            const batch = await queue.take(2);
            if (batch.length === 0) return;
            seen.push(...batch);
          }
        })();
        for (let i = 0; i < 12; i += 1) {
          scheduler.schedule(Promise.resolve(), `offer ${i}`).then(() => {
            if (queue.offer(i)) accepted.push(i);
          });
        }
        await scheduler.waitAll();
        queue.close();
        await consumer;
        expect(seen).toEqual(accepted);
        expect(seen.length).toBeGreaterThan(0);
      },
    ),
    { numRuns: 100 },
  );
});
