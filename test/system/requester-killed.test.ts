/**
 * SIGKILL of the requester at every step of its way, and `request --resume` after it: the same request, one grant, one
 * machine. Beside them runs the shortest grant there is, whose provider is killed: it still ends at its deadline.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { MINUTE_MS } from "../../src/base/limits.ts";
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
import { createSandbox, type Ended, PATIENCE_MS, type Running } from "./support/processes.ts";

const openssh = needs("openssh-client", Bun.which("ssh"));
const sandbox = createSandbox("requester-killed");
afterAll(() => sandbox.close());

/** The requester may be done before it is killed; then another one is. */
const TRIES = 5;

let program: string;
let coalition: TestCoalition;
let provider: TestProvider;
let running: Running;
let members: Running[] = [];
let observer: Observer;
let requests = 0;

interface Point {
  readonly name: string;
  /** Whether a requester with this folder, started when the provider had said `from` lines, has come so far. */
  readonly reached: (dir: string, from: number) => boolean;
}

const sent = (dir: string): boolean | undefined => {
  const path = join(dir, "request.json");
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).sent : undefined;
};
const grantIs =
  (state: string): Point["reached"] =>
  (_, from) =>
    running.lines
      .slice(from)
      .some(({ event, fields }) => event === "grant" && fields.state === state);

const POINTS: readonly Point[] = [
  { name: "keys and state are saved", reached: (dir) => sent(dir) !== undefined },
  { name: "the request is sent", reached: (dir) => sent(dir) === true },
  { name: "the grant is admitted", reached: grantIs("received") },
  { name: "the machine is up", reached: grantIs("running") },
  { name: "the receipt is posted", reached: grantIs("delivered") },
  { name: "the ssh files are written", reached: (dir) => existsSync(join(dir, "ssh_config")) },
];

/** A requester's folder, after the requester was killed there. */
async function killedAt({ name, reached }: Point): Promise<string> {
  for (let trial = 1; trial <= TRIES; trial += 1) {
    requests += 1;
    const dir = join(sandbox.root, `request-${requests}`);
    const from = running.lines.length;
    const requester = sandbox.start(requestArguments(program, coalition, dir));
    const deadline = performance.now() + PATIENCE_MS;
    while (!reached(dir, from)) {
      if (performance.now() > deadline) throw new Error(`${name}: never`);
      await Bun.sleep(0); // as soon as it is so: `eventually` would look too late
    }
    requester.kill("SIGKILL");
    if ((await requester.ended).signal === "SIGKILL") return dir;
    await powerOff(sandbox, dir);
  }
  throw new Error(`${name}: the requester was done before it could be killed, ${TRIES} times`);
}

function resume(dir: string, flags: readonly string[] = []): Promise<Ended> {
  const where = ["--coalition", coalition.file, "--pin", coalition.fingerprint, "--resume", dir];
  return sandbox.run([program, "request", "--json", ...where, ...flags]);
}

if (openssh !== undefined)
  describe("request --resume after SIGKILL", () => {
    const short = join(sandbox.root, "short");
    let shortMachine: number | undefined;
    const others = (): number[] => machinePids(sandbox).filter((pid) => pid !== shortMachine);

    beforeAll(async () => {
      program = binary("development");
      coalition = await makeCoalition(sandbox, program);
      members = await startMembers(coalition);
      const limits = "[limits]\nremainingLifeMinMs = 0";
      provider = makeProvider(sandbox, program, coalition, { toml: limits });
      running = await provider.startReady();
      observer = await observe(coalition.file);
    });
    afterAll(() => observer?.leave());

    test("a grant of one minute begins, and its provider is killed and started again", async () => {
      const asked = requestArguments(program, coalition, short, ["--duration", "1m"]);
      expect(await sandbox.run(asked)).toMatchObject({ exitCode: 0 });
      requests += 1;
      [shortMachine] = machinePids(sandbox);
      running.kill("SIGKILL");
      expect((await running.ended).signal).toBe("SIGKILL");
      running = await provider.startReady();
    });

    for (const point of POINTS) {
      test(`when ${point.name}`, async () => {
        const dir = await killedAt(point);
        const { requestId } = JSON.parse(readFileSync(join(dir, "request.json"), "utf8"));
        const resumed = await resume(dir);
        expect([resumed.exitCode, resumed.stderr]).toEqual([0, expect.any(String)]);
        expect(JSON.parse(resumed.stdout)).toMatchObject({
          ok: true,
          requestId,
          grant: { attempt: 1 },
        });
        await checkLogin(sandbox, dir);
        expect(others()).toHaveLength(1);
        await powerOff(sandbox, dir);
        await eventually("the machine is gone", () => others().length === 0, PATIENCE_MS);
      });
    }

    test("what is no request, or another coalition's, is not gone on with", async () => {
      expect(await resume(join(sandbox.root, "nowhere"))).toMatchObject({ exitCode: 2 });
      const other = await makeCoalition(sandbox, program, { dir: "other" });
      const where = ["--coalition", other.file, "--resume", short];
      const refused = await sandbox.run([program, "request", "--json", ...where]);
      expect(refused.exitCode).toBe(2);
      expect(refused.stderr).toContain("another coalition");
      const taken = await sandbox.run(requestArguments(program, coalition, short));
      expect(taken.exitCode).toBe(2);
      expect(taken.stderr).toContain("--resume");
    });

    test("the grant of one minute ends at its deadline", async () => {
      const waited = await resume(short, ["--wait-log"]);
      expect(waited.exitCode).toBe(0);
      expect(JSON.parse(waited.stdout).log.status).toBe("expired");
      const { window } = await eventually("the log reaches the observer", () =>
        observer.finals().find(({ status }) => status === "expired"),
      );
      expect(window.toMs - window.fromMs).toBeGreaterThanOrEqual(MINUTE_MS);
    });

    test("one machine and one final log for each request; no process is left", async () => {
      await eventually("a final log each", () => observer.finals().length >= requests, PATIENCE_MS);
      expect(observer.finals()).toHaveLength(requests);
      expect([...observer.records.grants.values()]).toHaveLength(requests);
      expect(machineFolders(provider.stateDir)).toHaveLength(requests);
      for (const one of [running, ...members]) {
        one.kill("SIGTERM"); // the provider's marker needs the members
        expect((await one.ended).exitCode).toBe(0);
      }
      expect(sandbox.processes()).toEqual([]);
    });
  });
