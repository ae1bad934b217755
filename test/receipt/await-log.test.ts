/** Waiting for a grant's final log: the last entry of its chain, or the reason why there will be none. */
import { describe, expect, test } from "bun:test";
import { codeOf } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import { awaitLog } from "../../src/receipt/await.ts";
import { tickTo } from "../coalition/book.ts";
import { alpha, coalition, waiting } from "./waiting.ts";

describe("the final log", () => {
  const NEVER = new AbortController().signal;
  const waits = async () => {
    const at = await waiting();
    const grant = await at.grant();
    const view = {
      ...at,
      coalition,
      records: at.book.records,
      board: at.book.board,
      log: silentLogger,
    };
    const found = awaitLog(view, grant, NEVER).then(
      ({ status }) => status as string,
      (error: unknown) => codeOf(error),
    );
    let ended: string | undefined;
    void found.then((what) => {
      ended = what;
    });
    return { ...at, grant, ended: () => ended };
  };

  test("is the last of the chain, not an interim one", async () => {
    const { book, clock, grant, ended } = await waits();
    const interim = alpha.log(grant, "interim");
    book.offer(alpha.sign("log", interim));
    await clock.advance(2000);
    expect(ended()).toBeUndefined();
    book.offer(alpha.sign("log", alpha.log(grant, "completed", interim)));
    await clock.advance(2000);
    expect(ended()).toBe("completed");
  });

  test("will not come after a refusal", async () => {
    const { book, clock, grant, ended } = await waits();
    book.offer(alpha.sign("refusal", alpha.refusal(grant, "unavailable")));
    await clock.advance(2000);
    expect(ended()).toBe("no-grant");
  });

  test("is not waited for once nobody keeps it any more", async () => {
    const { book, clock, ended } = await waits();
    tickTo(book, 100 + coalition.file.compute.keepTicks + 1);
    await clock.advance(2000);
    expect(ended()).toBe("no-grant");
  });
});
