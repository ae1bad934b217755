/**
 * A provider whose disk fills up, and one whose file system turns read-only, while grants are live: an alarm, no new
 * grants, nothing lost, and it goes on when the disk does.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { randomSeed, signingKey } from "../../src/base/ed25519.ts";
import { providerId } from "../../src/coalition/ids.ts";
import { eventually } from "../support/eventually.ts";
import { needs } from "../support/skip.ts";
import { binary } from "./support/binary.ts";
import { machinePids } from "./support/books.ts";
import { checkLogin, onMachine, powerOff } from "./support/challenge.ts";
import {
  makeCoalition,
  makeProvider,
  requestArguments,
  startMembers,
  type TestCoalition,
  type TestProvider,
} from "./support/coalition.ts";
import { type Disk, fill, makeDisk } from "./support/disk.ts";
import { type Observer, observe } from "./support/observer.ts";
import { createSandbox, PATIENCE_MS, type Running } from "./support/processes.ts";

const sandbox = createSandbox("disk");
afterAll(() => sandbox.close());

const openssh = needs("openssh-client", Bun.which("ssh"));
const mounts = needs(
  "root and util-linux, to mount in a namespace of its own",
  succeeds(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", sandbox.root]),
);
const EXT4 =
  'truncate -s 32M "$1.img" && mkfs.ext4 -q -F "$1.img" && mount -o loop,errors=remount-ro "$1.img" "$1"';
const ext4 = needs(
  "e2fsprogs and a loop device, for a file system that fails",
  mounts &&
    succeeds([
      "unshare",
      "-m",
      "sh",
      "-ec",
      `mkdir "$1" && ${EXT4}`,
      "disk",
      join(sandbox.root, "probe"),
    ]),
);

function succeeds(command: readonly string[]): boolean {
  try {
    return Bun.spawnSync([...command], { stdout: "ignore", stderr: "ignore" }).success;
  } catch {
    return false; // the program itself is not there
  }
}

let program: string;
let coalition: TestCoalition;
let members: Running[] = [];
let observer: Observer;

interface Rig {
  readonly id: string;
  readonly disk: Disk;
  readonly provider: TestProvider;
  running: Running;
}

/** A provider on a disk of its own that writes to its journal every second while a machine runs. */
async function rigOn(name: string, mount: string, flags: readonly string[] = []): Promise<Rig> {
  const disk = await makeDisk(sandbox, join(sandbox.root, name, "state"), mount);
  const operatorKey = toHex(randomSeed());
  const toml = "[log]\nintervalMs = 1000";
  const provider = makeProvider(sandbox, program, coalition, {
    ...{ name, dir: name, disk, operatorKey, toml },
  });
  const id = toHex(providerId(signingKey(fromHex(operatorKey)).publicKey, name));
  return { id, disk, provider, running: await provider.startReady(flags) };
}

async function request(name: string): Promise<string> {
  const dir = join(sandbox.root, name);
  const asked = await sandbox.run(requestArguments(program, coalition, dir));
  expect([asked.exitCode, asked.stderr]).toEqual([0, expect.any(String)]);
  return dir;
}

/** The alarm: in the log, on the endpoint, in `status`, and in the card that committees read. */
async function expectAlarm({ id, provider, running }: Rig): Promise<void> {
  expect((await running.line("journal-unwritable")).level).toBe("error");
  const ready = await provider.get("/readyz");
  expect(ready.status).toBe(503);
  const failing = expect.objectContaining({ state: "failing", code: "journal-unwritable" });
  expect(ready.body).toMatchObject({ ready: false, checks: expect.arrayContaining([failing]) });
  const status = await provider.command("status");
  expect(status.exitCode).toBe(1);
  expect(status.stdout).toContain("not ready  journal: ");
  const card = () => observer.records.cards.get(id)?.body.status;
  await eventually("the card says so", () => card() === "unavailable", PATIENCE_MS);
}

async function untilFinals(count: number): Promise<void> {
  await eventually("the final logs", () => observer.finals().length >= count, PATIENCE_MS);
  expect(observer.finals()).toHaveLength(count);
}

async function stop(running: Running): Promise<void> {
  running.kill("SIGTERM");
  expect((await running.ended).exitCode).toBe(0);
}

if (openssh !== undefined && mounts !== undefined) {
  beforeAll(async () => {
    program = binary("development");
    coalition = await makeCoalition(sandbox, program);
    members = await startMembers(coalition);
    observer = await observe(coalition.file);
  });

  describe("a disk that fills up", () => {
    let rig: Rig;
    let [staying, leaving, waiting] = ["", "", ""];
    let free: () => void;
    let waiter: Running;

    test("stops new grants with an alarm; what runs goes on", async () => {
      rig = await rigOn("full", 'mount -t tmpfs -o size=4m tmpfs "$1"');
      staying = await request("staying");
      leaving = await request("leaving");
      expect(await onMachine(sandbox, staying, "echo kept > mark")).toMatchObject({ exitCode: 0 });
      free = fill(rig.provider.stateDir);
      waiting = join(sandbox.root, "waiting");
      waiter = sandbox.start(requestArguments(program, coalition, waiting));
      await expectAlarm(rig);
      await checkLogin(sandbox, staying);
      expect([...observer.records.admissions.values()]).toHaveLength(2);
      expect(machinePids(sandbox)).toHaveLength(2);
    });

    test("a tenant may end its machine meanwhile", async () => {
      await powerOff(sandbox, leaving);
      await eventually("one machine is left", () => machinePids(sandbox).length === 1, PATIENCE_MS);
    });

    test("takes the waiting grant once there is space, and has lost nothing", async () => {
      free();
      await rig.running.line("journal-recovered");
      expect((await waiter.ended).exitCode).toBe(0);
      expect(await rig.provider.get("/readyz")).toMatchObject({ status: 200 });
      await checkLogin(sandbox, waiting);
      expect((await onMachine(sandbox, staying, "cat mark")).stdout).toBe("kept\n");
      await untilFinals(1);
      for (const dir of [staying, waiting]) await powerOff(sandbox, dir);
      await untilFinals(3);
      expect([...observer.records.refusals.values()]).toEqual([]);
      await stop(rig.running);
      rig.disk.release();
    });
  });
}

if (openssh !== undefined && ext4 !== undefined)
  describe("a file system that turns read-only", () => {
    let rig: Rig;
    let dir = "";
    let patient: Running;

    test("stops new grants with the same alarm; what runs goes on", async () => {
      rig = await rigOn("failing", EXT4, ["--set", "drain.waitMs=0"]);
      dir = await request("on-ext4");
      await rig.disk.sh('sync -f "$1"; mount -o remount,abort "$1"'); // what the kernel does after an I/O error
      patient = sandbox.start(requestArguments(program, coalition, join(sandbox.root, "patient")));
      await expectAlarm(rig);
      await checkLogin(sandbox, dir);
    });

    test("no instance starts on it, and none that stops claims to have drained", async () => {
      rig.running.kill("SIGTERM");
      const stopped = await rig.running.ended;
      expect(stopped.exitCode).toBe(1);
      expect(stopped.stderr).not.toContain("    at "); // an orderly end, no crash
      const again = await rig.provider.start().ended;
      expect(again.exitCode).toBe(1);
      expect(again.stderr).toContain("journal-unwritable");
      expect(observer.records.markers.get(rig.id)).toBeUndefined();
      await checkLogin(sandbox, dir);
    });

    test("after a repair the next start settles the grant with exactly one final log", async () => {
      const before = observer.finals().length;
      await powerOff(sandbox, dir);
      await eventually("the machine is gone", () => machinePids(sandbox).length === 0, PATIENCE_MS);
      await rig.disk.sh('umount "$1"; mount -o loop "$1.img" "$1"');
      rig.running = await rig.provider.startReady();
      await untilFinals(before + 1);
      expect((await patient.ended).exitCode).toBe(0); // its grant waited for the coalition's provider
      await powerOff(sandbox, join(sandbox.root, "patient"));
      await untilFinals(before + 2);
      await eventually("ready", async () => (await rig.provider.get("/readyz")).status === 200);
      await stop(rig.running);
      rig.disk.release();
    });
  });

test("no process is left", async () => {
  await observer?.leave();
  for (const member of members) await stop(member);
  await eventually("nothing runs", () => sandbox.processes().length === 0);
});
