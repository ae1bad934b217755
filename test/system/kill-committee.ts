/** The members' ballots, read beside them: what a member has promised, whatever happens to its process. */
import { Database } from "bun:sqlite";
import { dirname, join } from "node:path";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { idOf } from "./kill-endings.ts";
import type { Stage } from "./kill-stage.ts";
import { PATIENCE_MS } from "./support/processes.ts";

export type Promised = "vote" | "release";

const TABLES = { vote: "votes", release: "releases" } as const;
const LOOK_MS = 1;

function ballotOf({ coalition }: Pick<Stage, "coalition">, member: number): Database {
  const path = join(dirname(coalition.file), `member-${member}`, "state", "ballot.db");
  return new Database(path, { readonly: true });
}

/** The first of the members to have this kind of promise about the request on disk. */
export async function promised(
  stage: Stage,
  members: readonly number[],
  what: Promised,
  requestId: string,
): Promise<number> {
  const ballots = members.map((member) => ({ member, db: ballotOf(stage, member) }));
  const endMs = performance.now() + PATIENCE_MS;
  try {
    while (performance.now() < endMs) {
      const first = ballots.find(({ db }) => holds(db, what, requestId));
      if (first !== undefined) return first.member;
      await Bun.sleep(LOOK_MS);
    }
    throw new Error(`none of the members ${members} made a ${what}`);
  } finally {
    for (const { db } of ballots) db.close();
  }
}

function holds(db: Database, what: Promised, requestId: string): boolean {
  const query = `SELECT attempt FROM ${TABLES[what]} WHERE request = ?`;
  return db.query<object, [Uint8Array]>(query).get(fromHex(requestId)) !== null;
}

/** What the member has promised about the request, in words. */
export function promisesOf(stage: Stage, member: number, requestId: string): Promised[] {
  const db = ballotOf(stage, member);
  try {
    return (["vote", "release"] as const).filter((what) => holds(db, what, requestId));
  } finally {
    db.close();
  }
}

interface ReleaseRow {
  readonly request: Uint8Array;
  readonly attempt: number;
  readonly provider: Uint8Array;
}

/**
 * What would let two providers spend on one request: shares of one attempt for two of them, or shares of an attempt
 * whose predecessor was opened and not given back.
 */
export function brokenPromises(stage: Stage): string[] {
  const { endings } = stage;
  const holders = new Map<string, Map<number, Set<string>>>();
  for (const member of stage.members.keys()) {
    const db = ballotOf(stage, member);
    const rows = db
      .query<ReleaseRow, []>("SELECT request, attempt, provider_id AS provider FROM releases")
      .all();
    db.close();
    for (const { request, attempt, provider } of rows) {
      const attempts = holders.get(toHex(request)) ?? new Map<number, Set<string>>();
      holders.set(toHex(request), attempts);
      attempts.set(attempt, (attempts.get(attempt) ?? new Set()).add(toHex(provider)));
    }
  }
  return [...holders].flatMap(([request, attempts]) => {
    const last = Math.max(...attempts.keys());
    const name = `request ${request.slice(0, 12)}`;
    return [...attempts].flatMap(([attempt, providers]) => {
      const grant = endings.grants(request).find((one) => one.attempt === attempt);
      const words = grant === undefined ? [] : endings.of(idOf(grant));
      const givenBack = words.some((word) => word.startsWith("refused"));
      return [
        ...(providers.size === 1
          ? []
          : [`${name}: attempt ${attempt} was opened for two providers`]),
        ...(attempt === last || givenBack
          ? []
          : [`${name}: attempt ${attempt} was not given back`]),
      ];
    });
  });
}
