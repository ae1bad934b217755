import { toHex } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import { IMAGE_KINDS, REGION_CLASSES, TEE_WANTS } from "../coalition/classes.ts";
import { type Coalition, readCoalition } from "../coalition/config.ts";
import { formatMicros } from "../config/money.ts";
import { type Access, END_COMMAND, writeAccess } from "../receipt/access.ts";
import { runOnMachine } from "../receipt/login.ts";
import {
  joinAsRequester,
  type Outcome,
  type Requester,
  type Progress as Step,
} from "../requester.ts";
import type { Order, RequestState } from "../zipnet/compose.ts";
import { type Command, print, printJson, type Values } from "./command.ts";
import { noProgress, type Progress, terminalProgress } from "./progress.ts";
import { orderOf, ownKey } from "./request-order.ts";
import { makeFolder, readState, saveState } from "./request-state.ts";
import { roleLogger } from "./role.ts";

export const requestCommand: Command = {
  name: "request",
  summary: "ask a coalition for a machine",
  about:
    "Sends one sealed request under one-time keys, waits for a grant and a receipt, and writes ssh_config and\n" +
    "known_hosts into --out. Transport direct: the committee members see which address the request comes from;\n" +
    "its content is hidden, its sender is not.",
  options: {
    coalition: { value: "FILE", help: "the coalition file" },
    pin: { value: "HEX", help: "the fingerprint that file must have" },
    out: { value: "DIR", help: "where to write keys, state and ssh files" },
    resume: { value: "DIR", help: "go on with the request in this folder" },
    cpu: { value: "MILLICORES", help: "processor (1000)" },
    ram: { value: "MIB", help: "memory (512)" },
    storage: { value: "GIB", help: "disk (1)" },
    tee: { value: "KIND", help: `machine's TEE: ${TEE_WANTS.join(", ")} (none)` },
    region: { value: "CLASS", help: `${REGION_CLASSES.join(", ")} (any)` },
    "region-hint": { value: "NAME", help: "a preferred region of the provider" },
    duration: { value: "TIME", help: "90s, 15m, 2h (15m)" },
    "max-price": { value: "AMOUNT", help: "per hour, in the coalition's currency (1)" },
    image: { value: "URL", help: "workload image; none for a bare machine" },
    "image-kind": { value: "KIND", help: `${IMAGE_KINDS.join(", ")} (none)` },
    "image-digest": { value: "HEX", help: "SHA-256 of what the URL delivers" },
    egress: { value: "KIND", help: "none, open or allowlist (open)" },
    "egress-host": { value: "HOST", multiple: true, help: "a host of the allowlist" },
    "ssh-key": { value: "FILE.pub", help: "log in with this key (default: a new one in --out)" },
    "provider-key": { help: "let the provider make the login key; it travels in the receipt" },
    "accept-unattested": { help: "accept a provider that cannot prove what it runs" },
    patience: { value: "TICKS", help: "how long to wait for a grant (60)" },
    "ssh-command": { value: "CMD", help: "run this on the machine once it is there" },
    "wait-log": { help: "wait for the final usage log" },
    json: { help: "print JSON" },
  },
  examples: [
    "compute-bridge request --coalition coalition.toml --out my-machine --cpu 1000 --ram 1024 --duration 1h",
    "compute-bridge request --coalition coalition.toml --resume my-machine",
  ],
  async run(values) {
    const json = values.has("json");
    const progress = json ? noProgress : terminalProgress();
    const resume = values.text("resume");
    const dir = resume ?? values.required("out");
    const coalition = readCoalition(values.required("coalition"), values.text("pin"));
    const prepared = resume === undefined ? undefined : readState(dir, coalition);
    if (prepared === undefined) makeFolder(dir);
    const order = prepared === undefined ? orderOf(values, dir) : undefined;
    const session = {
      values,
      coalition,
      dir,
      json,
      progress,
      signal: new AbortController().signal,
    };
    warnAbout(coalition, values);
    progress.step("joining the coalition");
    const requester = await joinAsRequester(
      { coalition, clock: systemClock, log: roleLogger("error") },
      session.signal,
    );
    try {
      await follow(session, requester, prepared, order);
      progress.done();
      return 0;
    } catch (error) {
      progress.fail();
      throw error;
    } finally {
      await requester.leave();
    }
  },
};

interface Session {
  readonly values: Values;
  readonly coalition: Coalition;
  readonly dir: string;
  readonly json: boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

async function follow(
  session: Session,
  requester: Requester,
  prepared: RequestState | undefined,
  order: Order | undefined,
): Promise<void> {
  const { dir, progress, signal, values } = session;
  let state = prepared;
  if (state === undefined && order !== undefined) {
    showCandidates(session, requester);
    state = requester.compose(order);
    saveState(dir, state);
  }
  if (state === undefined) throw new BridgeError("invariant", "no request to follow");
  if (!state.sent) {
    progress.step("sending the sealed request");
    progress.note(requester.transport.notice);
    await requester.send(state, signal);
    saveState(dir, { ...state, sent: true });
  }
  progress.step("waiting for a grant");
  const outcome = await requester.awaitReceipt(state, (step) => tell(progress, step), signal);
  const access = writeAccess(dir, outcome.receipt, ownKey(values, dir));
  await requester.acknowledge(state, outcome, signal);
  progress.done();
  await report(session, requester, outcome, access);
}

function tell(progress: Progress, step: Step): void {
  if (step.step === "granted")
    progress.step(`granted in attempt ${step.grant.attempt}; waiting for the provider`);
  else if (step.step === "admitted")
    progress.step("admitted; waiting for the machine and its receipt");
  else progress.note(`refused: ${step.code}${step.detail === "" ? "" : ` (${step.detail})`}`);
}

async function report(
  { values, json, progress, signal }: Session,
  requester: Requester,
  outcome: Outcome,
  access: Access,
): Promise<void> {
  const { receipt, grant } = outcome;
  const command = values.text("ssh-command");
  const ssh =
    command === undefined ? undefined : await runOnMachine(access, receipt, command, signal);
  if (!json) {
    print(`host key  ${access.fingerprint}`);
    print(`log in    ${access.command.join(" ")}`);
    print(`end early ${access.command.join(" ")} ${END_COMMAND}`);
    print(`ends      ${new Date(receipt.notAfterMs).toISOString()} at the latest`);
    if (ssh !== undefined) print(`\n${ssh.stdout}`);
  }
  let log: object | undefined;
  if (values.has("wait-log")) {
    progress.step("waiting for the machine to end and its usage log");
    const final = await requester.awaitLog(grant, signal);
    log = { status: final.status, usage: usageView(final.usage) };
    if (!json) print(`usage     ${JSON.stringify(log)}`);
  }
  if (!json) return;
  printJson({
    ok: true,
    requestId: toHex(grant.requestId),
    providerId: toHex(grant.providerId),
    grant: { attempt: grant.attempt, validToTick: grant.validToTick },
    receipt: { host: receipt.instanceHost, port: receipt.instancePort, user: receipt.user },
    sshConfig: access.configPath,
    ...(ssh === undefined
      ? {}
      : { ssh: { client: ssh.client, exitCode: ssh.exitCode, stdout: ssh.stdout } }),
    ...(log === undefined ? {} : { log }),
  });
}

/** A log's integer units as the units people read. */
export function usageView(usage: {
  cpuCoreMs: number;
  ramMibSeconds: number;
  netBytes: number | null;
  basis: string;
}) {
  const { cpuCoreMs, ramMibSeconds, netBytes, basis } = usage;
  return { cpuCoreSeconds: cpuCoreMs / 1000, ramMibSeconds, netBytes, basis };
}

function showCandidates({ progress, coalition }: Session, requester: Requester): void {
  for (const { card, verdict } of requester.candidates()) {
    const cheapest = Math.min(...card.offers.map((offer) => offer.pricePerHourMicros));
    const price =
      card.offers.length === 0
        ? "no offers"
        : `from ${formatMicros(cheapest)} ${coalition.file.currency}/h`;
    progress.note(
      `provider ${toHex(card.providerId).slice(0, 12)}: ${price}, ${verdict.verdict} (${verdict.code})`,
    );
  }
}

function warnAbout(coalition: Coalition, values: Values): void {
  if (values.text("pin") === undefined && !values.has("json")) {
    process.stderr.write(
      `note: no --pin; this coalition file has the fingerprint ${toHex(coalition.fingerprint)}\n`,
    );
  }
  if (coalition.file.ceremony === "single-machine") {
    process.stderr.write(
      "warning: this coalition's keys were made on one machine; whoever made them can read envelopes\n",
    );
  }
}
