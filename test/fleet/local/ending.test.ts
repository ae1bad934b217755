/** How machines end, what they leave, and that nothing of them stays. */

import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { LOCAL_ENDING_MS_MAX } from "../../../src/base/limits.ts";
import type { Usage } from "../../../src/fleet/backend.ts";
import { localBackend } from "../../../src/fleet/backends/local/backend.ts";
import {
  allProcesses,
  hasEnded,
  type Process,
  readProcess,
} from "../../../src/fleet/backends/local/proc.ts";
import {
  bringUp,
  COMMAND,
  cleanUp,
  code,
  exec,
  kill,
  login,
  NEVER,
  namesUnder,
  options,
  pidOf,
  processesUnder,
  run,
  stateDir,
  type Up,
  until,
} from "./support.ts";

setDefaultTimeout(60_000);
afterAll(cleanUp);

test("poweroff by the tenant ends the machine and tells its usage", async () => {
  const up = await bringUp();
  const exit = up.backend.watchUntilExit(up.machine, () => {}, NEVER);
  await run(up, "poweroff");
  const { cause, usage } = await exit;
  expect(cause).toBe("ended");
  expect(usage.basis).toBe("measured");
  expect(usage.netBytes).toBeNull();
  await until(() => processesUnder(dirname(up.folder)).length === 0);
  expect((await up.backend.list(NEVER)).machines).toEqual([]);
  await until(() => !existsSync(join(up.folder, "home")));
  expect(await code(up.backend.provision(up.order, NEVER))).toBe("machine-ended");
});

test("a machine ends at its deadline, with everything the tenant started, though nobody watches", async () => {
  const script = "trap '' TERM HUP; sleep 1000 & setsid sleep 1000 & sleep 1000";
  const sleeps = (up: Up): number =>
    namesUnder(dirname(up.folder)).filter((name) => name === "sleep").length;
  const start = async (lifeMs: number): Promise<{ up: Up; sleeping: Promise<unknown> }> => {
    const up = await bringUp({}, { deadlineMs: Date.now() + lifeMs });
    const sleeping = exec(await login(up), script);
    await until(() => sleeps(up) === 3 || Date.now() > up.order.deadlineMs);
    if (sleeps(up) !== 3) throw new Error("too slow for this life");
    return { up, sleeping };
  };
  // On a busy system a short life is over before it has begun; then a longer one is tried.
  const { up, sleeping } = await start(1500)
    .catch(() => start(6000))
    .catch(() => start(30_000));
  await until(() => processesUnder(dirname(up.folder)).length === 0);
  expect(Date.now()).toBeGreaterThanOrEqual(up.order.deadlineMs);
  const exit = await up.backend.watchUntilExit(up.machine, () => {}, NEVER);
  expect(exit.cause).toBe("deadline");
  await sleeping;
});

test("a machine process that is killed is lost, and what it left behind is found and ended", async () => {
  const up = await bringUp();
  const client = await login(up);
  client.on("error", () => {});
  const burn = "timeout 1 sh -c 'while :; do :; done'";
  await exec(client, `(setsid sleep 1000 > /dev/null 2>&1 &); ${burn}`);
  let last: Usage | undefined;
  const watch = up.backend.watchUntilExit(
    up.machine,
    (usage) => {
      last = usage;
    },
    NEVER,
  );
  await until(() => (last?.cpuCoreMs ?? 0) > 0);
  kill(pidOf(up));
  const { cause, usage } = await watch;
  expect(cause).toBe("lost");
  expect(usage).toEqual(last as Usage);
  expect(usage.basis).toBe("measured");
  // The sleep lives on with init as its parent; until it is ended the machine is not gone.
  expect(namesUnder(dirname(up.folder))).toEqual(["sleep"]);
  const listed = (await up.backend.list(NEVER)).machines;
  expect(listed.map((m) => [m.state, m.machine])).toEqual([["running", undefined]]);
  expect((await up.backend.capabilities(NEVER))[0]?.free).toBe(3);
  expect(await up.backend.terminate(up.machine, NEVER)).toBe("gone");
  expect(processesUnder(dirname(up.folder))).toEqual([]);
  expect((await up.backend.list(NEVER)).machines).toEqual([]);
  expect((await up.backend.watchUntilExit(up.machine, () => {}, NEVER)).cause).toBe("lost");
  expect(await code(up.backend.provision(up.order, NEVER))).toBe("machine-ended");
});

test("leftovers are found without their environment, by the machine's record and by their session", async () => {
  const up = await bringUp();
  const client = await login(up);
  client.on("error", () => {});
  const script = "(env -i setsid sh -c 'sleep 1000 & sleep 1000' > /dev/null 2>&1 &); echo up";
  expect((await exec(client, script)).text).toBe("up\n");
  const recorded = (): number =>
    JSON.parse(readFileSync(join(up.folder, "usage.json"), "utf8")).processes.length;
  await until(() => recorded() >= 3);
  kill(pidOf(up));
  await until(() => !existsSync(`/proc/${pidOf(up)}`));
  const [listed] = (await up.backend.list(NEVER)).machines;
  expect([listed?.state, listed?.machine]).toEqual(["running", undefined]);
  const pids = JSON.parse(readFileSync(join(up.folder, "usage.json"), "utf8")).processes as [
    number,
  ][];
  expect(await up.backend.terminate(up.machine, NEVER)).toBe("gone");
  const living = pids.map(([pid]) => readProcess(pid)).filter((process) => process !== undefined);
  expect(living.filter((process) => !hasEnded(process))).toEqual([]);
});

test("leftovers are found by their environment alone, and without a record usage is unknown", async () => {
  const up = await bringUp();
  await run(up, "(setsid sleep 1000 > /dev/null 2>&1 &)");
  kill(pidOf(up));
  await until(() => !existsSync(`/proc/${pidOf(up)}`));
  rmSync(join(up.folder, "usage.json"));
  const exit = await up.backend.watchUntilExit(up.machine, () => {}, NEVER);
  expect(exit.usage.basis).toBe("unknown");
  expect(exit.cause).toBe("lost");
  expect((await up.backend.list(NEVER)).machines.length).toBe(1);
  expect(await up.backend.terminate(up.machine, NEVER)).toBe("gone");
  expect(processesUnder(dirname(up.folder))).toEqual([]);
});

test("orphans that end are reaped while the machine runs", async () => {
  const up = await bringUp();
  const orphans = (): Process[] =>
    allProcesses().filter((process) => process.parent === pidOf(up) && hasEnded(process));
  await run(up, "for i in 1 2 3 4 5; do (setsid sleep 0.05 > /dev/null 2>&1 &); done");
  await until(() => orphans().length > 0);
  await until(() => orphans().length === 0);
});

test("double-forked processes are measured while they run and after, and end with the machine", async () => {
  const up = await bringUp();
  const client = await login(up);
  // Two orphans: one burns and ends, one stays. Neither has the shell as its parent any more.
  const burn = "timeout 1 sh -c 'while :; do :; done'; echo > burnt";
  await exec(client, `(setsid sh -c "${burn}" > /dev/null 2>&1 &)`);
  await exec(client, "(setsid sleep 1000 > /dev/null 2>&1 &)");
  await until(() => existsSync(join(up.folder, "home", "burnt")));
  client.end();
  const exit = up.backend.watchUntilExit(up.machine, () => {}, NEVER);
  expect(await up.backend.terminate(up.machine, NEVER)).toBe("gone");
  expect(processesUnder(dirname(up.folder))).toEqual([]);
  const { cause, usage } = await exit;
  expect(cause).toBe("ended");
  expect(usage.cpuCoreMs).toBeGreaterThan(100); // of one second on a core that others use too
  expect(usage.ramMibSeconds).toBeGreaterThan(0);
});

test("terminate is idempotent, and gone for what never was", async () => {
  const up = await bringUp();
  const ends = await Promise.all([
    up.backend.terminate(up.machine, NEVER),
    up.backend.terminate(up.machine, NEVER),
  ]);
  expect(ends).toEqual(["gone", "gone"]);
  expect(await up.backend.terminate(up.machine, NEVER)).toBe("gone");
  expect(await up.backend.terminate({ backend: "local", name: "never-was" }, NEVER)).toBe("gone");
  expect(await up.backend.terminate({ backend: "local", name: "../x" }, NEVER)).toBe("gone");
  expect(readdirSync(up.folder)).not.toContain("home");
});

test("terminate ends a machine process that does not react", async () => {
  const up = await bringUp();
  await run(up, "(setsid sleep 1000 > /dev/null 2>&1 &)");
  process.kill(pidOf(up), "SIGSTOP");
  // Time runs ten times as fast for this backend, so that its patience ends sooner.
  const clock = {
    ...systemClock,
    monotonicMs: () => 10 * systemClock.monotonicMs(),
    sleep: (delayMs: number, signal?: AbortSignal) => systemClock.sleep(delayMs / 10, signal),
  };
  const quick = localBackend(options({ stateDir: dirname(up.folder), clock }));
  expect(await quick.terminate(up.machine, NEVER)).toBe("gone");
  expect(processesUnder(dirname(up.folder))).toEqual([]);
  expect((await quick.watchUntilExit(up.machine, () => {}, NEVER)).cause).toBe("ended");
});

test("an aborted terminate says ending, and the next one finishes", async () => {
  const up = await bringUp();
  process.kill(pidOf(up), "SIGSTOP");
  expect(await up.backend.terminate(up.machine, AbortSignal.abort())).toBe("ending");
  expect((await up.backend.list(NEVER)).machines.map((m) => m.state)).toEqual(["ending"]);
  process.kill(pidOf(up), "SIGCONT");
  expect(await up.backend.terminate(up.machine, NEVER)).toBe("gone");
});

test("an end that was asked for and never came is not called ending for ever", async () => {
  const up = await bringUp();
  process.kill(pidOf(up), "SIGSTOP");
  expect(await up.backend.terminate(up.machine, AbortSignal.abort())).toBe("ending");
  const later = { ...systemClock, nowMs: () => Date.now() + LOCAL_ENDING_MS_MAX + 1 };
  const backend = localBackend(options({ stateDir: dirname(up.folder), clock: later }));
  expect((await backend.list(NEVER)).machines.map((m) => m.state)).toEqual(["running"]);
  expect(await code(backend.provision(up.order, NEVER))).toBe("machine-ended");
  process.kill(pidOf(up), "SIGCONT");
  expect(await backend.terminate(up.machine, NEVER)).toBe("gone");
});

test("a fault in the machine program ends the machine in order, and is in its log", async () => {
  const folder = stateDir();
  const program = join(folder, "faulty.ts");
  writeFileSync(
    program,
    `process.on("uncaughtException", () => process.exit(1)); // as a command line does
     process.on("SIGUSR2", () => { throw new Error("planted fault"); });
     await import(${JSON.stringify(COMMAND[1])});`,
  );
  const up = await bringUp({ stateDir: folder, command: [process.execPath, program] });
  await run(up, "(setsid sleep 1000 > /dev/null 2>&1 &)");
  process.kill(pidOf(up), "SIGUSR2");
  const { cause } = await up.backend.watchUntilExit(up.machine, () => {}, NEVER);
  expect(cause).toBe("ended");
  await until(() => processesUnder(folder).length === 0);
  expect(readFileSync(join(up.folder, "machine.log"), "utf8")).toContain("planted fault");
});

test("watching can be stopped; the machine runs on", async () => {
  const up = await bringUp();
  const stop = new AbortController();
  const watch = up.backend.watchUntilExit(up.machine, () => stop.abort(), stop.signal);
  expect(await code(watch)).toBe("unknown-outcome");
  expect((await run(up, "echo on")).text).toBe("on\n");
});

test("a pid that was given to another process is not taken for the machine", async () => {
  const up = await bringUp();
  const record = join(up.folder, "process.json");
  const { pid, startTicks, bootId } = JSON.parse(readFileSync(record, "utf8"));
  const other = Bun.spawn(["sleep", "1000"]);
  kill(pid);
  await until(() => !existsSync(`/proc/${pid}`));
  writeFileSync(record, JSON.stringify({ pid: other.pid, startTicks, bootId }));
  expect((await up.backend.list(NEVER)).machines).toEqual([]);
  expect(await up.backend.terminate(up.machine, NEVER)).toBe("gone");
  expect(other.exitCode).toBeNull();
  expect(existsSync(`/proc/${other.pid}`)).toBe(true);
  other.kill();
});
