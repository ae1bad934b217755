/** What all rows share: one coalition of three real members, a requester that sees every record, and how grants end. */
import { systemClock, timeoutSignal } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import { readCoalition } from "../../src/coalition/config.ts";
import { joinAsRequester, type Requester } from "../../src/requester.ts";
import { type Endings, watchEndings } from "./kill-endings.ts";
import { binary } from "./support/binary.ts";
import { makeCoalition, startMembers, type TestCoalition } from "./support/coalition.ts";
import { createSandbox, PATIENCE_MS, type Running, type Sandbox } from "./support/processes.ts";

const TICK_MS = 1000; // an attempt passes after six; a loaded machine needs some of them

export interface Stage {
  readonly sandbox: Sandbox;
  readonly program: string;
  readonly coalition: TestCoalition;
  /** By index, from 1. A row that kills a member puts the next process in its place. */
  readonly members: Map<number, Running>;
  readonly requester: Requester;
  readonly endings: Endings;
  close(): Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const sandbox = createSandbox("kill");
  try {
    const program = binary("development");
    const coalition = await makeCoalition(sandbox, program, { tickMs: TICK_MS });
    const members = await startMembers(coalition);
    const requester = await joinAsRequester(
      { coalition: readCoalition(coalition.file), clock: systemClock, log: silentLogger },
      timeoutSignal(systemClock, PATIENCE_MS),
    );
    return {
      sandbox,
      program,
      coalition,
      members: new Map(members.map((member, at) => [at + 1, member])),
      requester,
      endings: watchEndings(requester.records),
      async close() {
        await requester.leave();
        await sandbox.close();
      },
    };
  } catch (error) {
    await sandbox.close();
    throw error;
  }
}
