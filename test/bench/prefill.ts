/** A journal with grants that ended long ago, each through the transitions a smooth life has. */
import { bytes32, concat, u32be } from "../../src/base/bytes.ts";
import { HOUR_MS } from "../../src/base/limits.ts";
import type { GrantEvent } from "../../src/ledger/events.ts";
import type { Change, Journal } from "../../src/ledger/journal.ts";
import { isSettled } from "../../src/ledger/state.ts";
import { begin, transition } from "../../src/ledger/transition.ts";
import {
  granted,
  measured,
  opened,
  routed,
  sampleContext,
  sampleGrant,
  samplePlacement,
  up,
} from "../ledger/samples.ts";

/** A grant's record has about this many bytes. */
const RECORD_BYTES = 600;
const GRANTS_PER_COMMIT = 100;

const LIFE: readonly GrantEvent[] = [
  opened,
  routed(samplePlacement()),
  up(),
  { type: "posted" },
  { type: "acked" },
  { type: "exited", cause: "ended", usage: measured(1) },
  { type: "gone" },
  { type: "log-published", seq: 0 },
];

export function prefill(journal: Journal, grants: number): void {
  for (let first = 0; first < grants; first += GRANTS_PER_COMMIT) {
    const some = Math.min(GRANTS_PER_COMMIT, grants - first);
    const changes = Array.from({ length: some }, (_, i) => lifeOf(first + i)).flat();
    journal.commit(changes, new Map([["grants:seen", some]]), Date.now());
  }
}

function lifeOf(n: number): Change[] {
  const nowMs = Date.now();
  const grant = sampleGrant({
    requestId: bytes32(concat(u32be(n), new Uint8Array(28))),
    notAfterMs: nowMs + HOUR_MS,
    validToTick: 1_000_000,
  });
  const context = sampleContext({ nowMs });
  const event = { ...granted(grant), record: new Uint8Array(RECORD_BYTES) };
  let after = begin(event, context);
  const changes: Change[] = [{ event: event.type, after }];
  for (const next of LIFE) {
    after = transition(after, next, context);
    changes.push({ event: next.type, after });
  }
  if (!isSettled(after)) throw new Error(`the grant's life ends ${after.state}`);
  return changes;
}
