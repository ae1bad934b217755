/** How `drain` sees the provider end: gone, slow and taken back are three things. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { snapshotOf } from "../../src/admin/snapshot.ts";
import { BridgeError, codeOf, type ErrorCode } from "../../src/base/errors.ts";
import { ADMIN_SILENCE_MS } from "../../src/base/limits.ts";
import { type AdminClient, adminClient, adminOptions } from "../../src/cli/admin-client.ts";
import { parseCommandLine } from "../../src/cli/command.ts";
import { untilEnded } from "../../src/cli/drain.ts";
import { recordDrain } from "../../src/stages/state-dir.ts";
import { type AdminRig, startAdminRig } from "../admin/rig.ts";
import { PROVIDER } from "../config/support.ts";
import { eventually } from "../support/eventually.ts";
import { fakeClock } from "../support/fake-clock.ts";

let root: string;
let stateDir: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "compute-bridge-drain-"));
  stateDir = join(root, "state");
  mkdirSync(stateDir);
  writeFileSync(join(root, "provider.toml"), PROVIDER);
  writeFileSync(join(stateDir, "admin.token"), `${"00".repeat(32)}\n`);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe("the client", () => {
  const client = (port: number, callMs?: number): AdminClient => {
    writeFileSync(join(stateDir, "admin.url"), `http://127.0.0.1:${port}/\n`);
    const command = { name: "x", summary: "", examples: [], options: adminOptions };
    const values = parseCommandLine({ ...command, run: async () => 0 }, [
      ...["--config", join(root, "provider.toml")],
    ]);
    return adminClient(values, callMs);
  };

  test("nobody listens: unreachable. Silence: timeout. A broken answer: closed", async () => {
    let asked = 0;
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch() {
        asked += 1;
        return new Promise<Response>(() => {});
      },
    });
    const port = server.port ?? 0;
    await expect(client(port, 20).get("/")).rejects.toMatchObject({ code: "timeout" });
    const cut = client(port).post("/", {});
    await eventually("the call", () => asked === 2);
    await server.stop(true);
    await expect(cut).rejects.toMatchObject({ code: "closed" });
    await expect(client(port).get("/")).rejects.toMatchObject({ code: "unreachable" });
  });
});

describe("waiting for the end", () => {
  const { note, notes } = noted();
  let rig: AdminRig;
  beforeEach(() => {
    rig = startAdminRig();
    rig.standing.drain({ reason: "stop", terminate: false });
    notes.length = 0;
  });
  afterEach(() => rig.close());

  /** What the command makes of a provider that answers in this way, look by look; the last stays. */
  async function ending(...answers: readonly ("snapshot" | ErrorCode | (() => void))[]) {
    const clock = fakeClock();
    let look = -1;
    const admin: AdminClient = {
      stateDir,
      post: async () => undefined,
      async get() {
        look = Math.min(look + 1, answers.length - 1);
        const answer = answers[look];
        if (typeof answer === "function") answer();
        else if (answer !== "snapshot") throw new BridgeError(answer ?? "invariant", "scripted");
        return snapshotOf(rig.source.facts());
      },
    };
    const progress = { step() {}, note, done() {}, fail() {} };
    const ended = untilEnded(admin, progress, clock);
    return await clock.run(ended, 2 * ADMIN_SILENCE_MS, "the end");
  }

  test("gone: what the provider has recorded, or that it has recorded nothing", async () => {
    expect(await ending("snapshot", "unreachable")).toBe("ended");
    for (const result of ["drained", "live", "unmarked"] as const) {
      recordDrain(stateDir, result);
      expect(await ending("snapshot", "unreachable")).toBe(result);
    }
  });

  test("slow, and then it goes on", async () => {
    recordDrain(stateDir, "drained");
    const slow = Array.from({ length: 5 }, () => "timeout" as const);
    expect(await ending("snapshot", ...slow, "closed", "snapshot", "unreachable")).toBe("drained");
    expect(notes).toEqual(["0 live", "the provider does not answer; still waiting", "0 live"]);
  });

  test("stuck: it is not waited for without end, and not called stopped", async () => {
    expect(await ending("snapshot", "timeout").catch(codeOf)).toBe("timeout");
  });

  test("taken back by somebody else", async () => {
    expect(await ending("snapshot", "snapshot", () => rig.standing.resume())).toBe("cancelled");
  });

  test("what is no answer of ours ends the wait", async () => {
    expect(await ending("wrong-token").catch(codeOf)).toBe("wrong-token");
  });
});

function noted(): { note: (text: string) => void; notes: string[] } {
  const notes: string[] = [];
  return { notes, note: (text) => void notes.push(text) };
}
