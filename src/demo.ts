/**
 * The whole mission on one machine, with real parts: a committee of three over libp2p, a provider with the local
 * backend, one sealed request, a real SSH login, and the signed usage log. Development build only.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Verdict } from "./attestation/verdict.ts";
import { type Bytes32, toHex } from "./base/bytes.ts";
import { systemClock, timeoutSignal } from "./base/clock.ts";
import { randomSeed, signingKey } from "./base/ed25519.ts";
import { MINUTE_MS } from "./base/limits.ts";
import type { Logger } from "./base/log.ts";
import { Shutdown } from "./base/shutdown.ts";
import { sshPrivateFile } from "./base/ssh-keys.ts";
import { REGION_CLASSES } from "./coalition/classes.ts";
import type { ComputeGrant } from "./coalition/grant.ts";
import type { ComputeLog } from "./coalition/log.ts";
import { loadProviderConfig, readConfigFile } from "./config/load.ts";
import { shellQuote } from "./config/secrets.ts";
import { DEMO_BANNER, MEMBERS, makeCoalition, startMembers, THRESHOLD } from "./demo-coalition.ts";
import type { GrantState } from "./ledger/state.ts";
import { type OperatedProvider, operateProvider } from "./operate.ts";
import type { Provider } from "./provider.ts";
import { END_COMMAND, writeAccess } from "./receipt/access.ts";
import { type LoginResult, runOnMachine } from "./receipt/login.ts";
import type { SshAccessReceipt } from "./receipt/receipt.ts";
import { joinAsRequester, type Requester } from "./requester.ts";
import { drain } from "./stages/drain.ts";
import type { Order } from "./zipnet/compose.ts";

const STOP_STAGE_MS = 10_000;

export interface DemoOptions {
  /** An empty folder for keys, state and machines. */
  readonly dir: string;
  readonly sshCommand: string;
  readonly log: Logger;
  readonly onStep: (text: string) => void;
  readonly onNote: (text: string) => void;
}

export interface DemoResult {
  readonly requestId: Uint8Array;
  readonly grant: ComputeGrant;
  readonly receipt: SshAccessReceipt;
  readonly verdict: Verdict;
  readonly ssh: LoginResult;
  readonly log: ComputeLog;
  readonly timingsMs: {
    readonly requestToGrant: number;
    readonly grantToCreate: number;
    readonly createToReady: number;
    readonly readyToReceipt: number;
    readonly total: number;
  };
}

export interface Demo {
  readonly result: DemoResult;
  readonly opened: OperatedProvider;
  stop(): Promise<void>;
}

export async function runDemo(options: DemoOptions, signal: AbortSignal): Promise<Demo> {
  const { dir, log, onStep, onNote } = options;
  const shutdown = new Shutdown();
  onNote(DEMO_BANNER);
  try {
    onStep(`making a coalition of ${MEMBERS} members, threshold ${THRESHOLD}`);
    const ceremony = await makeCoalition(dir);
    onStep("starting the members");
    await startMembers(ceremony, dir, log, shutdown);
    onStep("starting the provider and waiting for its first card");
    const opened = await startDemoProvider(dir, log);
    shutdown.defer("provider", () => opened.close());
    shutdown.defer("machines", () => endMachines(opened.provider));
    await opened.provider.ready;
    onStep("joining as a requester");
    const requester = await joinAsRequester(
      { coalition: ceremony.coalition, clock: systemClock, log },
      signal,
    );
    shutdown.defer("requester", () => requester.leave());
    const result = await oneGrant(options, opened, requester, signal);
    return { result, opened, stop: async () => void (await shutdown.run(STOP_STAGE_MS, log)) };
  } catch (error) {
    await shutdown.run(STOP_STAGE_MS, log);
    throw error;
  }
}

async function oneGrant(
  { dir, sshCommand, onStep, onNote }: DemoOptions,
  { provider }: OperatedProvider,
  requester: Requester,
  signal: AbortSignal,
): Promise<DemoResult> {
  const reached = new Map<GrantState["state"], number>();
  provider.ledger.onChange(({ after }) => {
    if (!reached.has(after.state)) reached.set(after.state, performance.now());
  });
  const verdict = await firstVerdict(requester, signal);
  onNote(`attestation: ${verdict.verdict} (${verdict.code}): ${verdict.why}`);

  const sshSeed = randomSeed();
  const keyPath = join(dir, "id_ed25519");
  writeFileSync(keyPath, sshPrivateFile(sshSeed, "compute-bridge demo"), { mode: 0o600 });
  const state = requester.compose(demoOrder(signingKey(sshSeed).publicKey));

  onStep("sending one sealed request under one-time keys");
  onNote(requester.transport.notice);
  const startedMs = performance.now();
  await requester.send(state, signal);
  onStep("committee: propose, vote, sign a grant together");
  let grantedMs = startedMs;
  const outcome = await requester.awaitReceipt(
    state,
    (progress) => {
      const { step, grant } = progress;
      if (step === "granted") {
        grantedMs = performance.now();
        onStep(
          `granted in attempt ${grant.attempt}: members open the envelope for provider ${toHex(grant.providerId).slice(0, 12)}`,
        );
      } else if (step === "admitted")
        onStep("provider: start a machine, rotate its keys, post the sealed receipt");
      else onNote(`the provider refused: ${[progress.code, progress.detail].join(" ").trim()}`);
    },
    signal,
  );
  const receiptMs = performance.now();
  await requester.acknowledge(state, outcome, signal);

  onStep("logging in");
  const access = writeAccess(dir, outcome.receipt, keyPath);
  onNote([...access.command, sshCommand].map(shellQuote).join(" "));
  const ssh = await runOnMachine(access, outcome.receipt, sshCommand, signal);
  onStep("ending the machine and waiting for the signed usage log");
  await runOnMachine(access, outcome.receipt, END_COMMAND, signal).catch(() => undefined); // the machine cuts the line
  const log = await requester.awaitLog(outcome.grant, signal);
  const at = (name: GrantState["state"], fallback: number): number => reached.get(name) ?? fallback;
  const createMs = at("provisioning", grantedMs);
  const readyMs = at("running", createMs);
  return {
    requestId: outcome.grant.requestId,
    grant: outcome.grant,
    receipt: outcome.receipt,
    verdict,
    ssh,
    log,
    timingsMs: {
      requestToGrant: Math.round(grantedMs - startedMs),
      grantToCreate: Math.round(Math.max(0, createMs - grantedMs)),
      createToReady: Math.round(readyMs - createMs),
      readyToReceipt: Math.round(receiptMs - readyMs),
      total: Math.round(performance.now() - startedMs),
    },
  };
}

/** Nothing outlives the demo, however it ends: its folder goes, and with it all that could find a machine again. */
async function endMachines(provider: Provider): Promise<void> {
  const signal = timeoutSignal(systemClock, STOP_STAGE_MS);
  const order = { reason: "stop", waitMs: 0, terminate: true, onWaiting() {} } as const;
  await drain({ ...provider, ...provider.context }, order, signal);
}

/** The verdict on the only provider there is. */
async function firstVerdict(requester: Requester, signal: AbortSignal): Promise<Verdict> {
  for (;;) {
    signal.throwIfAborted();
    const [candidate] = requester.candidates();
    if (candidate !== undefined) return candidate.verdict;
    await systemClock.sleep(50, signal);
  }
}

function demoOrder(sshKey: Bytes32): Order {
  return {
    manifest: {
      v: 1,
      crate: { name: "shell", version: "1", tree: "" },
      minCpuMillicores: 500,
      minRamMib: 512,
      minStorageGib: 1,
      tee: "none",
      networkPolicy: { egress: "open", hosts: [] },
    },
    image: { kind: "none", digest: new Uint8Array(32) as Bytes32, pointer: "" },
    regionClass: "any",
    regionHint: "",
    durationMs: 5 * MINUTE_MS,
    maxPricePerHourMicros: 100_000,
    accept: { releases: [], providerTee: "none", tcb: "unattested" },
    sshKey,
    patienceTicks: 60,
  };
}

async function startDemoProvider(dir: string, log: Logger): Promise<OperatedProvider> {
  const file = join(dir, "provider.toml");
  writeFileSync(join(dir, "operator.key"), `${toHex(randomSeed())}\n`, { mode: 0o600 });
  writeFileSync(file, PROVIDER_TOML);
  const { config } = loadProviderConfig(readConfigFile(file), { regionClasses: REGION_CLASSES });
  return await operateProvider(config, {}, log);
}

const PROVIDER_TOML = `version = 1

[provider]
name = "demo-provider"
stateDir = "provider"

[operator]
key = "file:operator.key"

[coalition]
file = "coalition/coalition.toml"

[network]
listen = ["/ip4/127.0.0.1/tcp/0"]

[limits]
spendPerDay = 5
spendPerGrant = 1

[admin]
port = 0

[backends.local]
kind = "local"
iUnderstandThereIsNoIsolation = true
regionClass = "europe"
pricePerHour = "0.05"
`;
