/** Crashes between two steps, other providers, and machines found again. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromHex, toHex } from "../../../src/base/bytes.ts";
import { type Clock, systemClock } from "../../../src/base/clock.ts";
import { codeOf } from "../../../src/base/errors.ts";
import { lp, sha256 } from "../../../src/base/hash.ts";
import { LOGIN_ATTEMPT_MS } from "../../../src/base/limits.ts";
import { localBackend } from "../../../src/fleet/backends/local/backend.ts";
import { HANDOVER_COMMAND, writeKey } from "../../../src/fleet/backends/local/handover.ts";
import { readProcess } from "../../../src/fleet/backends/local/proc.ts";
import {
  bringUp,
  COMMAND,
  cleanUp,
  code,
  collect,
  connect,
  kill,
  NEVER,
  open,
  options,
  order,
  pidOf,
  processesUnder,
  run,
  startUnclaimed,
  stateDir,
  until,
} from "./support.ts";

setDefaultTimeout(60_000);
afterAll(cleanUp);

test("a machine survives the death of its provider, and the next one adopts it", async () => {
  const folder = stateDir();
  const wanted = order();
  const file = join(folder, "order.json");
  writeFileSync(
    file,
    JSON.stringify({
      name: wanted.name,
      deadlineMs: wanted.deadlineMs,
      loginKey: toHex(wanted.loginKey),
      bootstrapHostSeed: toHex(wanted.bootstrapHostSeed.reveal()),
      bootstrapLoginSeed: toHex(wanted.bootstrapLoginSeed.reveal()),
    }),
  );
  const entry = join(import.meta.dir, "provider-entry.ts");
  const provider = Bun.spawn([process.execPath, entry, folder, file], { stderr: "inherit" });
  const reader = provider.stdout.getReader();
  const told = JSON.parse(new TextDecoder().decode((await reader.read()).value));
  const machine = { ...told, hostKey: fromHex(told.hostKey) };
  const pid = pidOf({ machine });
  expect(readProcess(pid)?.session).toBe(pid); // a signal to the provider's group does not reach it
  provider.kill("SIGHUP");
  provider.kill("SIGKILL");
  await provider.exited;
  process.kill(pid, "SIGHUP"); // as when a terminal closes

  const backend = localBackend(options({ stateDir: folder }));
  expect((await backend.list(NEVER)).machines.map((m) => m.machine)).toEqual([machine]);
  expect(await backend.provision(wanted, NEVER)).toEqual(machine);
  expect((await run({ machine, order: wanted }, "echo adopted")).text).toBe("adopted\n");
  const exit = backend.watchUntilExit(machine, () => {}, NEVER);
  expect(await backend.terminate(machine, NEVER)).toBe("gone");
  expect((await exit).cause).toBe("ended");
});

test("a provider that died before the handover is followed by one that does it", async () => {
  const used = options();
  const started = await startUnclaimed(used);
  const backend = localBackend(used);
  expect((await backend.list(NEVER)).machines.map((m) => [m.state, m.machine])).toEqual([
    ["starting", undefined],
  ]);
  const machine = await backend.provision(started.order, NEVER);
  expect(machine.port).toBe(started.port);
  expect((await run({ machine, order: started.order }, "echo in")).text).toBe("in\n");
});

test("a handover whose answer was lost is known from the machine's own record", async () => {
  const used = options();
  const started = await startUnclaimed(used);
  const bootstrap = started.order.bootstrapLoginSeed.reveal();
  const first = await connect(started, bootstrap, started.bootstrapHostKey);
  const channel = await open(first, HANDOVER_COMMAND);
  const answer = collect(channel);
  channel.write(writeKey("loginKey", started.order.loginKey));
  // The next provider has read the record and is on its way in when the handover of the first one is done.
  let onItsWay = (): void => {};
  const reached = new Promise<void>((resolve) => {
    onItsWay = resolve;
  });
  const clock: Clock = {
    ...systemClock,
    sleep(delayMs, signal) {
      if (delayMs === LOGIN_ATTEMPT_MS) onItsWay();
      return systemClock.sleep(delayMs, signal);
    },
  };
  const { pid } = JSON.parse(readFileSync(join(started.folder, "process.json"), "utf8"));
  process.kill(pid, "SIGSTOP");
  const adopted = localBackend({ ...used, clock }).provision(started.order, NEVER);
  await reached;
  channel.end();
  process.kill(pid, "SIGCONT");
  const { text } = await answer;
  const machine = await adopted;
  expect(toHex(machine.hostKey)).toBe(JSON.parse(text).hostKey);
  expect((await run({ machine, order: started.order }, "echo in")).text).toBe("in\n");
});

test("two providers share a directory and never touch each other's machines", async () => {
  const shared = stateDir();
  const a = await bringUp({ stateDir: shared, machinesMax: 1 });
  const b = localBackend(options({ stateDir: shared, providerId: "provider-b", machinesMax: 1 }));
  expect((await b.list(NEVER)).machines).toEqual([]);
  expect((await b.capabilities(NEVER))[0]?.free).toBe(1);
  expect(await b.terminate(a.machine, NEVER)).toBe("gone"); // there is none of its own
  expect((await run(a, "echo alive")).text).toBe("alive\n");
  expect((await b.watchUntilExit(a.machine, () => {}, NEVER)).usage.basis).toBe("unknown");

  const tags = { ...order().tags, providerId: "provider-b" };
  const theirs = { ...order({ name: a.order.name }), tags };
  expect(await code(b.provision(theirs, NEVER))).toBe("bug");
  const own = await b.provision({ ...order(), tags }, NEVER);
  expect((await a.backend.list(NEVER)).machines.map((m) => m.name)).toEqual([a.order.name]);
  expect((await b.list(NEVER)).machines.map((m) => m.name)).toEqual([own.name]);
  expect(await a.backend.terminate(a.machine, NEVER)).toBe("gone");
  expect((await b.list(NEVER)).machines.map((m) => m.state)).toEqual(["running"]);
});

test("two backends of one provider share a directory and keep to their own", async () => {
  const shared = stateDir();
  const a = await bringUp({ stateDir: shared, machinesMax: 1 });
  const b = localBackend(options({ stateDir: shared, name: "other" }));
  expect((await b.list(NEVER)).machines).toEqual([]);
  const own = await b.provision(order(), NEVER);
  expect(own.backend).toBe("other");
  expect((await b.list(NEVER)).machines.map((m) => [m.backend, m.name])).toEqual([
    ["other", own.name],
  ]);
  expect((await a.backend.list(NEVER)).machines.map((m) => m.name)).toEqual([a.order.name]);
  expect(await code(b.provision(a.order, NEVER))).toBe("bug");
});

test("a crash between two steps of a start leaves something the next start continues", async () => {
  const used = options();
  const backend = localBackend(used);
  const wanted = order();
  // The folder is complete and no process ever came.
  const started = await startUnclaimed(used, wanted);
  kill(JSON.parse(readFileSync(join(started.folder, "process.json"), "utf8")).pid);
  await until(() => processesUnder(used.stateDir).length === 0);
  for (const name of readdirSync(started.folder)) {
    if (name !== "job.json") rmSync(join(started.folder, name), { recursive: true });
  }
  expect((await backend.list(NEVER)).machines.map((m) => m.state)).toEqual(["starting"]);
  expect((await backend.capabilities(NEVER))[0]?.free).toBe(used.machinesMax - 1);
  const machine = await backend.provision(wanted, NEVER);
  expect((await run({ machine, order: wanted }, "echo in")).text).toBe("in\n");
});

test("a half-made folder of ours is swept, a foreign one and strange files are not", async () => {
  const used = options();
  const first = await bringUp(used);
  const half = readdirSync(used.stateDir); // only to know that it is there
  expect(half).toEqual([first.order.name]);
  const mark = ".new-";
  const ours = join(used.stateDir, `${mark}${markOf("provider-a")}-m-1`);
  const theirs = join(used.stateDir, `${mark}${markOf("provider-b")}-m-1`);
  const empty = join(used.stateDir, "no-job-in-it");
  for (const folder of [ours, theirs, empty]) mkdirSync(folder);
  writeFileSync(join(ours, "job.json.tmp"), "{");
  writeFileSync(join(used.stateDir, "a-file"), "");
  expect((await first.backend.list(NEVER)).complete).toBe(true);
  await first.backend.provision(order(), NEVER);
  expect(existsSync(ours)).toBe(false);
  expect(existsSync(theirs)).toBe(true);
  expect(existsSync(empty)).toBe(true);
});

test("a machine that never came can be ended, and comes no more", async () => {
  const used = options();
  const wanted = order();
  const broken = localBackend({ ...used, command: ["/bin/false"] });
  expect(await code(broken.provision(wanted, NEVER))).toBe("bug");
  expect((await broken.list(NEVER)).machines.map((m) => m.state)).toEqual(["starting"]);
  const missing = localBackend({ ...used, command: ["/no/such/program"] });
  expect(await code(missing.provision(wanted, NEVER))).toBe("bug");
  expect(await broken.terminate({ backend: "local", name: wanted.name }, NEVER)).toBe("gone");
  expect((await broken.list(NEVER)).machines).toEqual([]);
  // A process that was on its way finds the place taken.
  const late = Bun.spawn([...COMMAND, join(used.stateDir, wanted.name)], { stdout: "ignore" });
  expect(await late.exited).toBe(0);
  expect(readdirSync(join(used.stateDir, wanted.name))).not.toContain("ready.json");
  expect(await code(localBackend(used).provision(wanted, NEVER))).toBe("machine-ended");
});

test("a machine program that fails says why", async () => {
  const script = join(stateDir(), "fails.ts");
  writeFileSync(script, "throw new Error('the moon is in the wrong phase');\n");
  const backend = localBackend(options({ command: [process.execPath, script] }));
  const error = await backend.provision(order(), NEVER).catch((e: Error) => e);
  expect(codeOf(error)).toBe("bug");
  expect(String(error)).toContain("the moon is in the wrong phase");
});

test("a stopped provision leaves a machine that the next call hands over", async () => {
  const used = options();
  const backend = localBackend(used);
  const wanted = order();
  expect(await code(backend.provision(wanted, AbortSignal.abort()))).toBe("unknown-outcome");
  expect((await backend.list(NEVER)).machines.length).toBe(1);
  const machine = await backend.provision(wanted, NEVER);
  expect((await run({ machine, order: wanted }, "echo in")).text).toBe("in\n");
  await until(() => processesUnder(used.stateDir).length === 1); // the second to come has left
});

test("a record that cannot be read makes the listing incomplete and hides nothing else", async () => {
  const up = await bringUp();
  const second = await up.backend.provision(order(), NEVER);
  writeFileSync(join(up.folder, "usage.json"), "{");
  const { machines, complete } = await up.backend.list(NEVER);
  expect(complete).toBe(false);
  expect(machines.map((m) => m.name)).toEqual([second.name]);
});

/** As the backend names its temporary folders. */
function markOf(providerId: string): string {
  return toHex(sha256(lp(providerId, "local"))).slice(0, 16);
}
