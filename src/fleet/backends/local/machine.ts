/**
 * The machine itself: a process of its own that outlives the provider which started it. It runs an SSH server for
 * one tenant, measures what the tenant uses, ends at its deadline or when asked to, and takes everything it
 * started with it. It isolates nothing: the tenant is the provider's own user.
 *
 * Kept light, because a grant waits for it: the schema library stays out of this process (the backend, which
 * writes the job, checks what it reads).
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { bytes32, fromHex, toHex } from "../../../base/bytes.ts";
import { type Clock, systemClock } from "../../../base/clock.ts";
import { BridgeError, hasCode } from "../../../base/errors.ts";
import {
  LOCAL_GRACE_MS,
  LOCAL_LOG_LINES_MAX,
  LOCAL_PROCESSES_RECORDED_MAX,
  LOCAL_TICK_MS,
  LOCAL_USAGE_WRITE_TICKS,
} from "../../../base/limits.ts";
import { createLogger, type Logger } from "../../../base/log.ts";
import { endProcesses } from "./ending.ts";
import { becomeSubreaper, PAGE_BYTES, reap } from "./libc.ts";
import { createLauncher, lowerPriority } from "./limits.ts";
import { LOCAL_BACKEND_MARKER } from "./marker.ts";
import { allProcesses, descendants, hasEnded, identify, type Process } from "./proc.ts";
import { createRecord, errno, FILES, readRecord, writeRecord } from "./records.ts";
import type { ExitRecord, Job, Secrets, UsageRecord } from "./schemas.ts";
import { type MachineServer, startServer } from "./server.ts";
import { createTenant, removeTenant, type Tenant } from "./tenant.ts";
import { createMeter, type Meter } from "./usage.ts";

export interface MachineOptions {
  /** The machine's folder, absolute. */
  readonly folder: string;
  readonly clock?: Clock;
}

/**
 * Runs the machine whose job stands in the folder, until it ends. Resolves with the process's exit code: 0 when it
 * ran and ended, or when another process runs this machine; 1 when it could not come up.
 */
export async function runMachine(options: MachineOptions): Promise<number> {
  const { folder, clock = systemClock } = options;
  const log = machineLog(clock);
  const job = readJob(folder);
  if (!createRecord(folder, FILES.process, identify(process.pid))) {
    log.info("machine-taken");
    return 0;
  }
  const secrets = takeSecrets(folder);
  const ending = endSignal(log);
  log.info("machine-started", { notice: LOCAL_BACKEND_MARKER, name: job.order.name });
  const tenant = await prepare(folder, job, clock, log);
  const meter = createMeter(process.pid, allProcesses, PAGE_BYTES, clock.monotonicMs());
  let server: MachineServer;
  try {
    server = await openServer(folder, job, secrets, tenant);
  } catch (error) {
    log.error("machine-not-up", { error });
    finish(
      folder,
      { cause: "ended", failure: hasCode(error, "capacity") ? "no-port" : null },
      meter,
    );
    return 1;
  }
  writeUsage(folder, meter);
  writeRecord(folder, FILES.ready, { port: server.port });
  const cause = await untilEnd(folder, job, tenant, meter, ending);
  server.close();
  const family = (): Process[] => tenantProcesses(tenant);
  if (!(await endProcesses(family, clock, LOCAL_GRACE_MS))) log.error("processes-remain");
  meter.sample(clock.monotonicMs());
  unlessDiskFails(log, () => finish(folder, { cause, failure: null }, meter));
  log.info("machine-ended", { cause });
  if (!removeTenant(folder)) log.warn("tenant-files-remain");
  return 0;
}

/** Fires when the machine is asked to end (by the backend or the tenant's `poweroff`) or fails. */
function endSignal(log: Logger): AbortSignal {
  const ending = new AbortController();
  const fault = (error: unknown): void => {
    log.error("machine-fault", { error });
    ending.abort();
  };
  process.on("SIGHUP", () => {}); // the provider or its terminal is gone; the machine is not theirs to end
  process.on("SIGTERM", () => ending.abort());
  process.on("SIGINT", () => ending.abort());
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.removeAllListeners(event); // those of the command line exit at once and would leave the tenant behind
    process.on(event, fault);
  }
  return ending.signal;
}

async function prepare(folder: string, job: Job, clock: Clock, log: Logger): Promise<Tenant> {
  if (!becomeSubreaper()) log.warn("no-subreaper"); // double-forked processes then escape the account
  const launcher = await createLauncher(job.order.shape);
  log.info("limits-not-applied", { limits: launcher.missing.join(" ") });
  return createTenant(folder, launcher, clock, log);
}

function openServer(
  folder: string,
  job: Job,
  secrets: Secrets,
  tenant: Tenant,
): Promise<MachineServer> {
  return startServer({
    bootstrapHostSeed: bytes32(fromHex(secrets.bootstrapHostSeed)),
    bootstrapLoginKey: bytes32(fromHex(job.order.bootstrapLoginKey)),
    loginKey: bytes32(fromHex(job.order.loginKey)),
    ports: job.ports,
    tenant,
    onHandedOver(hostKey) {
      writeRecord(folder, FILES.handover, { hostKey: toHex(hostKey) });
      tenant.log.info("handed-over");
      if (!lowerPriority()) tenant.log.warn("priority-not-lowered"); // not before: somebody waits
    },
    clock: tenant.clock,
    log: tenant.log,
  });
}

/** The deadline is a wall-clock time; should that clock stand still or go back, our own estimate counts. */
async function untilEnd(
  folder: string,
  job: Job,
  tenant: Tenant,
  meter: Meter,
  ending: AbortSignal,
): Promise<"ended" | "deadline"> {
  const { clock } = tenant;
  const { deadlineMs } = job.order;
  const endMs = clock.monotonicMs() + (deadlineMs - clock.nowMs());
  const leftMs = (): number => Math.min(deadlineMs - clock.nowMs(), endMs - clock.monotonicMs());
  for (let tick = 1; ; tick += 1) {
    await clock.sleep(Math.min(LOCAL_TICK_MS, leftMs()), ending);
    if (ending.aborted) return "ended";
    if (leftMs() <= 0) return "deadline";
    reapOrphans(tenant);
    meter.sample(clock.monotonicMs());
    if (tick % LOCAL_USAGE_WRITE_TICKS === 0)
      unlessDiskFails(tenant.log, () => writeUsage(folder, meter));
  }
}

function tenantProcesses(tenant: Tenant): Process[] {
  reapOrphans(tenant);
  return descendants(allProcesses(), [process.pid]);
}

/** Children the runtime did not start: they came to us when their own parent ended. */
function reapOrphans(tenant: Tenant): void {
  for (const child of allProcesses()) {
    if (child.parent === process.pid && hasEnded(child) && !tenant.children.has(child.pid)) {
      reap(child.pid);
    }
  }
}

function writeUsage(folder: string, meter: Meter): void {
  const processes = meter.tenant().slice(0, LOCAL_PROCESSES_RECORDED_MAX);
  const record: UsageRecord = {
    usage: { ...meter.usage(), netBytes: null },
    processes: processes.map(({ pid, startTicks }) => [pid, startTicks]),
  };
  writeRecord(folder, FILES.usage, record);
}

/** A full or read-only disk costs figures. The deadline and the end of a machine must not depend on a file. */
function unlessDiskFails(log: Logger, write: () => void): void {
  try {
    write();
  } catch (error) {
    if (errno(error) === undefined) throw error;
    log.warn("record-not-written", { error });
  }
}

function finish(folder: string, end: Omit<ExitRecord, "usage">, meter: Meter): void {
  const record: ExitRecord = { ...end, usage: { ...meter.usage(), netBytes: null } };
  createRecord(folder, FILES.exit, record);
}

function readJob(folder: string): Job {
  const job = readRecord(folder, FILES.job) as Job | undefined;
  if (job?.v !== 1) throw new BridgeError("wrong-schema", `${folder} holds no job of this version`);
  return job;
}

/** Read once: they are gone from the disk before anybody can log in. */
function takeSecrets(folder: string): Secrets {
  const secrets = readRecord(folder, FILES.secrets) as Secrets | undefined;
  rmSync(join(folder, FILES.secrets), { force: true });
  if (secrets?.v !== 1) throw new BridgeError("secret-unreadable", `${folder} holds no secrets`);
  return secrets;
}

/** To standard output, which the backend made a file; no more lines than its bound. */
function machineLog(clock: Clock): Logger {
  let lines = 0;
  process.stdout.on("error", () => {}); // a full disk loses lines and nothing else
  return createLogger({
    level: "info",
    format: "json",
    write(line) {
      lines += 1;
      if (lines <= LOCAL_LOG_LINES_MAX) process.stdout.write(`${line}\n`);
    },
    nowMs: () => clock.nowMs(),
  });
}
