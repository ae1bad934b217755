/** Waiting for real sockets and processes: as short as they need, bounded by what a loaded machine may take. */
const LOOK_MS = 10;
const PATIENCE_MS = 20_000;

/** Resolves once `look` returns something truthy, and hands it over. Throws with `what` when it never does. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  patienceMs = PATIENCE_MS,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${patienceMs} ms`);
    await Bun.sleep(LOOK_MS);
  }
}
