/** The account of a process tree: from invented listings, and of this process's own children. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import {
  allProcesses,
  descendants,
  identify,
  isAlive,
  type Process,
  readProcess,
  TICK_MS,
} from "../../../src/fleet/backends/local/proc.ts";
import { createMeter } from "../../../src/fleet/backends/local/usage.ts";
import { until } from "./support.ts";

setDefaultTimeout(60_000);

const PAGE = 4096;
const ROOT = 10;

function fake(pid: number, parent: number, changes: Partial<Process> = {}): Process {
  return {
    pid,
    parent,
    session: pid,
    state: "S",
    startTicks: pid,
    cpuTicks: 0,
    reapedTicks: 0,
    threads: 1,
    residentPages: 0,
    ...changes,
  };
}

/** A meter over a listing the test can change. */
function metered(first: Process[]): {
  show: (processes: Process[], nowMs: number) => void;
  meter: ReturnType<typeof createMeter>;
} {
  let listing = first;
  const meter = createMeter(ROOT, () => listing, PAGE, 0);
  return {
    meter,
    show(processes, nowMs) {
      listing = processes;
      meter.sample(nowMs);
    },
  };
}

test("CPU time moves from a process to its parent and is counted once", () => {
  const root = fake(ROOT, 1, { cpuTicks: 999, reapedTicks: 7 });
  const { show, meter } = metered([root]);
  show([root, fake(11, ROOT, { cpuTicks: 5 }), fake(12, 11, { cpuTicks: 3 })], 1000);
  expect(meter.usage().cpuCoreMs).toBe(8 * TICK_MS);
  // 12 ends and is waited for by 11; then 11 by the machine, with all it had.
  show([root, fake(11, ROOT, { cpuTicks: 6, reapedTicks: 4 })], 2000);
  expect(meter.usage().cpuCoreMs).toBe(10 * TICK_MS);
  show([{ ...root, reapedTicks: 7 + 10 }], 3000);
  expect(meter.usage().cpuCoreMs).toBe(10 * TICK_MS);
});

test("the machine's own time, and what it used before, are not the tenant's", () => {
  const root = fake(ROOT, 1, { cpuTicks: 50, reapedTicks: 20 });
  const { show, meter } = metered([root]);
  show([{ ...root, cpuTicks: 500 }, fake(99, 1, { cpuTicks: 1e6, residentPages: 1e6 })], 1000);
  expect(meter.usage()).toEqual({
    cpuCoreMs: 0,
    ramMibSeconds: 0,
    netBytes: null,
    basis: "measured",
  });
});

test("time that nobody waited for is kept, and later time still counts", () => {
  const root = fake(ROOT, 1);
  const { show, meter } = metered([root]);
  show([root, fake(11, ROOT, { cpuTicks: 10 }), fake(12, 11, { cpuTicks: 100 })], 1000);
  show([root, fake(11, ROOT, { cpuTicks: 10 })], 2000); // 12 ended; 11 ignores SIGCHLD
  expect(meter.usage().cpuCoreMs).toBe(110 * TICK_MS);
  show([root, fake(11, ROOT, { cpuTicks: 15 })], 3000);
  expect(meter.usage().cpuCoreMs).toBe(115 * TICK_MS);
});

test("a listing that misses a process which just ended does not count it twice", () => {
  const root = fake(ROOT, 1);
  const before = [root, fake(11, ROOT, { cpuTicks: 100 })];
  const between = [root]; // the parent was read before the end, the process after it
  const after = [{ ...root, reapedTicks: 100 }];
  const listings = [before, before, between, after];
  const meter = createMeter(ROOT, () => listings.shift() ?? after, PAGE, 0);
  meter.sample(1000);
  meter.sample(2000);
  meter.sample(3000);
  expect(meter.usage().cpuCoreMs).toBe(100 * TICK_MS);
});

test("memory is integrated over the time that really passed", () => {
  const root = fake(ROOT, 1, { residentPages: 1e6 });
  const mib = (amount: number): Partial<Process> => ({
    residentPages: (amount * 1024 * 1024) / PAGE,
  });
  const { show, meter } = metered([root]);
  show([root, fake(11, ROOT, mib(100))], 2000); // from nothing to 100 MiB in 2 s
  expect(meter.usage().ramMibSeconds).toBe(100);
  show([root, fake(11, ROOT, mib(60)), fake(12, 11, mib(40))], 5000);
  expect(meter.usage().ramMibSeconds).toBe(400);
  show([root], 5000);
  show([root], 60_000);
  expect(meter.usage().ramMibSeconds).toBe(400);
});

test("descendants are exactly those with a chain of parents to the root, and end in any listing", () => {
  const parents = fc.array(fc.nat({ max: 30 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(parents, fc.nat({ max: 30 }), (links, root) => {
      const processes = links.map((parent, pid) => fake(pid, parent));
      const found = new Set(descendants(processes, [root]).map((process) => process.pid));
      for (const { pid } of processes) {
        let at: number | undefined = links[pid];
        let reaches = false;
        for (let step = 0; step <= links.length && at !== undefined && !reaches; step += 1) {
          reaches = at === root;
          at = links[at];
        }
        expect(found.has(pid)).toBe(reaches);
      }
    }),
  );
});

test("a process whose name looks like the rest of its record is read right", async () => {
  const name = ") R 1 2 3 (";
  const renamed = Bun.spawn(["bash", "-c", `printf '%s' '${name}' > /proc/$$/comm; cat; true`], {
    stdin: "pipe",
  });
  await until(() => readFileSync(`/proc/${renamed.pid}/comm`, "utf8").trim() === name);
  const read = readProcess(renamed.pid);
  expect(read?.parent).toBe(process.pid);
  expect(["S", "R"]).toContain(read?.state ?? "");
  renamed.kill();
  await renamed.exited;
});

test("a real tree is measured: children, grandchildren and ended ones", async () => {
  const meter = createMeter(process.pid, allProcesses, PAGE, 0);
  const burner = Bun.spawn(["sh", "-c", "sh -c 'while :; do :; done' & sleep 1000; wait"], {
    detached: true,
  });
  const used = (): number => {
    meter.sample(0);
    return meter.usage().cpuCoreMs;
  };
  await until(() => used() > 200);
  process.kill(-burner.pid, "SIGKILL");
  await burner.exited;
  expect(used()).toBeGreaterThan(200);
});

test("an identity is that of one process only", async () => {
  const child = Bun.spawn(["sleep", "1000"]);
  const identity = identify(child.pid);
  if (identity === undefined) throw new Error("it runs");
  expect(isAlive(identity)).toBe(true);
  expect(isAlive({ ...identity, startTicks: identity.startTicks + 1 })).toBe(false);
  expect(isAlive({ ...identity, bootId: "another boot" })).toBe(false);
  child.kill();
  await child.exited;
  expect(isAlive(identity)).toBe(false);
  expect(identify(2 ** 22 + 1)).toBeUndefined();
});
