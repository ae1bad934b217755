/** The collections of one node without a network, for tests of what they take and refuse. */
import type { ErrorCode } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import type { Coalition } from "../../src/coalition/config.ts";
import { type CoalitionRecords, coalitionRecords } from "../../src/coalition/records.ts";
import { encodeRecord, type SignedRecord, signRecord } from "../../src/network/record.ts";
import { createStore, type RecordStore } from "../../src/network/store.ts";
import { allCollections, type BoardRecords, boardRecords } from "../../src/zipnet/board.ts";
import { memberKey, testCeremony } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { FAKE_START_MS } from "../support/fake-clock.ts";

export interface RecordBook {
  readonly records: CoalitionRecords;
  readonly board: BoardRecords;
  readonly store: RecordStore;
  /** Takes the record; throws why not. */
  offer(record: SignedRecord): void;
  /** The code with which it is refused; undefined when it is taken. */
  code(record: SignedRecord | Uint8Array): ErrorCode | undefined;
}

export function recordBook(coalition: Coalition): RecordBook {
  const records = coalitionRecords(coalition);
  const board = boardRecords(coalition, records);
  const store = createStore({
    network: coalition.network,
    collections: allCollections(records, board),
    tick: () => records.tick().seq,
    log: silentLogger,
  });
  return {
    records,
    board,
    store,
    offer: (record) => void store.offer(encodeRecord(record)),
    code: (record) =>
      codeThrownBy(() => store.offer(record instanceof Uint8Array ? record : encodeRecord(record))),
  };
}

/** Lets the almanac of this book stand at `seq`, at a time of one second per tick. */
export function tickTo(
  book: RecordBook,
  seq: number,
  ceremony = testCeremony(),
  timeMs = FAKE_START_MS + 1000 * seq,
): void {
  for (const { index } of ceremony.secrets) {
    const vote = { v: 1, seq, timeMs };
    book.offer(signRecord(memberKey(ceremony, index), ceremony.coalition.network, "tick", vote));
  }
}
