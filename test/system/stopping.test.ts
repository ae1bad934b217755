/**
 * How a provider stops: by a signal or a command, with and without live grants, twice, for good, and when it finds a
 * second process or a newer instance of itself. One provider goes through all of it, a machine of its in tow; each
 * test goes on where the one before stopped.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { randomSeed, signingKey } from "../../src/base/ed25519.ts";
import { providerId } from "../../src/coalition/ids.ts";
import type { Marker } from "../../src/coalition/marker.ts";
import { eventually } from "../support/eventually.ts";
import { needs } from "../support/skip.ts";
import { binary } from "./support/binary.ts";
import { machineFolders, machinePids } from "./support/books.ts";
import { checkLogin, powerOff } from "./support/challenge.ts";
import {
  makeCoalition,
  makeProvider,
  requestArguments,
  startMembers,
  type TestCoalition,
  type TestProvider,
} from "./support/coalition.ts";
import { type Observer, observe } from "./support/observer.ts";
import { createSandbox, PATIENCE_MS, type Running } from "./support/processes.ts";

const openssh = needs("openssh-client", Bun.which("ssh"));
const sandbox = createSandbox("stopping");
afterAll(() => sandbox.close());

const operatorKey = toHex(randomSeed());
const id = toHex(providerId(signingKey(fromHex(operatorKey)).publicKey, "provider-1"));
/** At the bound of a drain live grants decide, and it comes at once. */
const NO_WAIT = ["--set", "drain.waitMs=0"];

let program: string;
let coalition: TestCoalition;
let members: Running[];
let observer: Observer;
let provider: TestProvider;
let running: Running;

/** Of the instance whose card stands now. */
const cardSeq = (): number => observer.records.cards.get(id)?.body.endorsement.seq ?? 0;
/** The last word of the instance that runs, or ran last; undefined when it left none. */
function markerOf(seq: number): Marker["reason"] | undefined {
  const marker = observer.records.markers.get(id)?.body;
  return marker?.endorsement.seq === seq ? marker.reason : undefined;
}

/** Starts the provider and returns the seq under which the coalition sees it. */
async function start(flags: readonly string[] = [], which = provider): Promise<number> {
  const before = cardSeq();
  running = await which.startReady(flags);
  await eventually("the new card", () => cardSeq() > before, PATIENCE_MS);
  return cardSeq();
}

async function request(name: string): Promise<string> {
  const dir = join(sandbox.root, name);
  const asked = await sandbox.run(requestArguments(program, coalition, dir));
  expect([asked.exitCode, asked.stderr]).toEqual([0, expect.any(String)]);
  return dir;
}

async function expectReady(which = provider): Promise<void> {
  await eventually("ready", async () => (await which.get("/readyz")).status === 200, PATIENCE_MS);
}

async function expectMarker(seq: number, reason: Marker["reason"]): Promise<void> {
  await eventually("the marker", () => markerOf(seq) !== undefined, PATIENCE_MS);
  expect(markerOf(seq)).toBe(reason);
}

describe("without grants", () => {
  beforeAll(async () => {
    program = binary("development");
    coalition = await makeCoalition(sandbox, program);
    members = await startMembers(coalition);
    observer = await observe(coalition.file);
    provider = makeProvider(sandbox, program, coalition, { operatorKey });
  });

  test("commands need a provider that runs, and options that exist", async () => {
    for (const command of ["status", "drain", "retire"]) {
      const refused = await provider.command(command);
      expect([refused.exitCode, refused.stdout]).toEqual([1, ""]);
      expect(refused.stderr).toMatch(/^compute-bridge: unreachable: no provider answers/);
    }
    expect(await provider.command("status", ["--nonsense"])).toMatchObject({ exitCode: 2 });
    expect(await provider.command("status", ["--set", "nonsense=1"])).toMatchObject({
      exitCode: 2,
    });
  });

  test("a second process on one state folder ends with journal-locked; the first goes on", async () => {
    const seq = await start();
    const second = await provider.start().ended;
    expect(second.exitCode).toBe(1);
    expect(second.stderr).toContain("journal-locked");
    await expectReady();
    expect(cardSeq()).toBe(seq);
    expect(await provider.command("status")).toMatchObject({ exitCode: 0, stderr: "" });
  });

  test("drain: exit 0 on both sides, and the stop marker", async () => {
    const seq = cardSeq();
    const drained = await provider.command("drain", ["--json"]);
    expect(drained.exitCode).toBe(0);
    expect(JSON.parse(drained.stdout)).toEqual({ ok: true, result: "drained" });
    expect((await running.ended).exitCode).toBe(0);
    await expectMarker(seq, "stop");
    expect((await provider.command("status")).exitCode).toBe(1);
  });

  test("started again it serves: a higher seq supersedes the stop. SIGTERM: exit 0 and the marker", async () => {
    const seq = await start();
    await expectReady();
    running.kill("SIGTERM");
    expect((await running.ended).exitCode).toBe(0);
    await expectMarker(seq, "stop");
  });
});

if (openssh !== undefined)
  describe("with a live grant", () => {
    let machine: number[] = [];
    let dir = "";

    async function takeBack(): Promise<void> {
      const waiting = provider.command("drain", ["--json"]);
      await running.line("admin-order");
      expect(await provider.command("drain --cancel")).toMatchObject({ exitCode: 0 });
      const waited = await waiting;
      expect([waited.exitCode, JSON.parse(waited.stdout).result]).toEqual([1, "cancelled"]);
      await expectReady();
    }

    async function expectMachine(): Promise<void> {
      expect(machinePids(sandbox)).toEqual(machine);
      await checkLogin(sandbox, dir);
    }

    test("SIGTERM at its bound: exit 1, no marker, and the machine goes on", async () => {
      const seq = await start(NO_WAIT);
      dir = await request("first");
      machine = machinePids(sandbox);
      expect(machine).toHaveLength(1);
      running.kill("SIGTERM");
      const { exitCode, stderr } = await running.ended;
      expect(exitCode).toBe(1);
      expect(stderr).toContain("grants-left-running");
      await expectMachine();
      expect(markerOf(seq)).toBeUndefined();
    });

    test("an unfinished drain goes on at the next start, until it is taken back", async () => {
      await start();
      await running.line("drain-goes-on");
      const draining = await provider.command("status");
      expect(draining.exitCode).toBe(1);
      expect(draining.stdout).toContain("the provider is draining");
      await takeBack();
      expect((await provider.command("status")).exitCode).toBe(0);
      await expectMachine();
    });

    test("a second signal ends it at once: exit 1, no marker, and the machine goes on", async () => {
      const seq = cardSeq();
      running.kill("SIGTERM");
      await running.line("stopping");
      running.kill("SIGTERM");
      const { exitCode, stderr } = await running.ended;
      expect(exitCode).toBe(1);
      expect(stderr).toContain("stopped-at-once");
      await expectMachine();
      expect(markerOf(seq)).toBeUndefined();
    });

    test("drain at its bound: exit 1 on both sides and no marker", async () => {
      await start();
      await takeBack();
      running.kill("SIGKILL");
      await running.ended;
      const seq = await start(NO_WAIT);
      const drained = await provider.command("drain");
      expect(drained.exitCode).toBe(1);
      expect(drained.stdout).toContain("stopped with live grants and no marker");
      expect((await running.ended).exitCode).toBe(1);
      await expectMachine();
      expect(markerOf(seq)).toBeUndefined();
    });

    test("drain --terminate ends the machine: exit 0, the marker, and one final log", async () => {
      await start();
      await takeBack();
      running.kill("SIGKILL");
      await running.ended;
      const seq = await start(NO_WAIT);
      expect(await provider.command("drain", ["--terminate"])).toMatchObject({ exitCode: 0 });
      expect((await running.ended).exitCode).toBe(0);
      expect(machinePids(sandbox)).toEqual([]);
      await expectMarker(seq, "stop");
      await eventually("the log", () => observer.finals().length === 1, PATIENCE_MS);
    });

    test("SIGTERM waits for a live grant, and takes no other: exit 0 and the marker when it has ended", async () => {
      const seq = await start();
      dir = await request("second");
      running.kill("SIGTERM");
      await running.line("standing", 0, ({ fields }) => fields.standing === "draining");
      expect((await provider.get("/readyz")).status).toBe(503);
      const impatient = requestArguments(program, coalition, join(sandbox.root, "refused"));
      const refused = await sandbox.run([...impatient, "--patience", "3"]);
      expect([refused.exitCode, JSON.parse(refused.stdout).code]).toEqual([1, "no-grant"]);
      expect(machinePids(sandbox)).toHaveLength(1);
      await powerOff(sandbox, dir);
      expect((await running.ended).exitCode).toBe(0);
      await expectMarker(seq, "stop");
      await eventually("the log", () => observer.finals().length === 2, PATIENCE_MS);
    });

    test("a newer instance with another state folder fences the older, which spends nothing more", async () => {
      const seq = await start();
      dir = await request("third");
      machine = machinePids(sandbox);
      const [older, olderStarted] = [running, machineFolders(provider.stateDir)];
      const newer = makeProvider(sandbox, program, coalition, { operatorKey, dir: "newer" });
      await start([], newer);
      const { exitCode, stderr } = await older.ended;
      expect(exitCode).toBe(1);
      expect(stderr).toContain('"event":"fenced"');
      await expectMachine();
      expect(markerOf(seq)).toBeUndefined();

      const fourth = await request("fourth");
      expect(machineFolders(provider.stateDir)).toEqual(olderStarted);
      expect(machineFolders(newer.stateDir)).toHaveLength(1);
      for (const one of [dir, fourth]) await powerOff(sandbox, one);
      await eventually("both are gone", () => machinePids(sandbox).length === 0, PATIENCE_MS);
      await eventually("the logs", () => observer.finals().length === 4, PATIENCE_MS);
      provider = newer;
    });

    test("retire: exit 0, a marker that nothing supersedes, and no instance serves again", async () => {
      const seq = cardSeq();
      expect(await provider.command("retire")).toMatchObject({ exitCode: 0 });
      expect((await running.ended).exitCode).toBe(0);
      await expectMarker(seq, "retire");
      const again = await provider.start().ended;
      expect(again.exitCode).toBe(1);
      expect(again.stderr).toContain("this provider has been retired");
      expect(cardSeq()).toBe(seq);
    });
  });

test("one grant, one final log; no process is left", async () => {
  const grants = [...observer.records.grants.values()].length;
  expect(grants).toBe(openssh === undefined ? 0 : 4);
  expect(observer.finals()).toHaveLength(grants);
  await observer.leave();
  for (const member of members) member.kill("SIGTERM");
  for (const member of members) expect((await member.ended).exitCode).toBe(0);
  expect(sandbox.processes()).toEqual([]);
});
