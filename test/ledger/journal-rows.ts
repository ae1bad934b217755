/** Rows that the tests of the journal write and recognise again. */
import { bytes32, concat, u32be } from "../../src/base/bytes.ts";
import type { GrantState } from "../../src/ledger/state.ts";
import { granted, sampleGrant, walk } from "./samples.ts";

export const OWNER = "provider-a";

/** A live grant of its own for every number. */
export function rowOf(n: number): GrantState {
  const requestId = bytes32(concat(u32be(n), new Uint8Array(28)));
  return walk([granted(sampleGrant({ requestId }))]);
}
