/** SIGKILL of a real voting process: what it acknowledged is on disk, and binds the next process. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromHex } from "../../src/base/bytes.ts";
import { silentLogger } from "../../src/base/log.ts";
import { openBallot } from "../../src/coalition/ballot.ts";
import { seedNamed } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";

const folder = mkdtempSync(join(tmpdir(), "compute-bridge-ballot-kill-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Acknowledged {
  readonly request: Uint8Array;
  readonly grant: Uint8Array;
  readonly seq: number;
}

/** Lets the voter run until it has acknowledged `count` votes, kills it, and returns all it acknowledged. */
async function voteAndKill(path: string, count: number): Promise<Acknowledged[]> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "ballot-voter.ts"), path], {
    stdout: "pipe",
    stderr: "inherit",
  });
  let text = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.split("\n").length > count && child.exitCode === null) child.kill("SIGKILL");
  }
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
  const whole = text.slice(0, text.lastIndexOf("\n")).split("\n");
  return whole.map((line) => {
    const [request = "", grant = "", seq = ""] = line.split(" ");
    return { request: fromHex(request), grant: fromHex(grant), seq: Number(seq) };
  });
}

test("kill -9 in the middle of voting, four times over, loses no acknowledged vote or release", async () => {
  const path = join(folder, "ballot.db");
  const all: Acknowledged[] = [];
  for (const count of [1, 20, 7, 33]) {
    all.push(...(await voteAndKill(path, count)));
    const ballot = openBallot(path, () => 2, silentLogger);
    for (const { request, grant, seq } of all) {
      expect(ballot.hasVoted(request, 1, grant)).toBe(true);
      expect(ballot.releases(request).map((release) => release.seq)).toEqual([seq]);
      const rival = seedNamed("another grant");
      expect(codeThrownBy(() => ballot.vote(request, 1, rival, () => true))).toBe("already-voted");
      expect(codeThrownBy(() => ballot.vote(request, 2, rival, () => false))).toBe(
        "release-locked",
      );
    }
    ballot.close();
  }
  expect(all.length).toBeGreaterThanOrEqual(61);
});
