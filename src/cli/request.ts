import { toHex } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { BridgeError, explain } from "../base/errors.ts";
import { IMAGE_KINDS, REGION_CLASSES, TEE_WANTS } from "../coalition/classes.ts";
import { type Coalition, readCoalition } from "../coalition/config.ts";
import { nameMembers } from "../coalition/reach.ts";
import { formatMicros } from "../config/money.ts";
import { writeAccess } from "../receipt/access.ts";
import { runOnMachine } from "../receipt/login.ts";
import { joinAsRequester, type Requester, type Progress as Step } from "../requester.ts";
import type { Order } from "../zipnet/compose.ts";
import { hexOption } from "./arguments.ts";
import type { Command, ExitCode, Values } from "./command.ts";
import { type Progress, plainProgress, terminalProgress } from "./progress.ts";
import { chooseLogin, keyFileOf, type Login } from "./request-login.ts";
import { checkOrder, orderOf } from "./request-order.ts";
import { exitCodeOf, printEnd, showAccess, showCommand, showLog } from "./request-report.ts";
import { makeFolder, readState, type SavedRequest, saveState, writing } from "./request-state.ts";
import { roleLogger } from "./role.ts";

export const requestCommand: Command = {
  name: "request",
  summary: "ask a coalition for a machine",
  about:
    "Sends one sealed request under one-time keys, waits for a grant and a receipt, and writes ssh_config and\n" +
    "known_hosts into --out. Transport direct: the committee members see which address the request comes from;\n" +
    "its content is hidden, its sender is not.\n\n" +
    "--resume goes on with the request as it was made: beside it only --coalition, --pin, --ssh-command,\n" +
    "--wait-log and --json have a meaning. The exit code is 1 when the command on the machine fails.",
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
    duration: { value: "TIME", help: "90s, 15m, 2h; at most 168h (15m)" },
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
    const session = {
      ...prepare(values),
      values,
      json,
      // Standard output belongs to the JSON; notes stay on the other stream.
      progress: json ? plainProgress() : terminalProgress(),
      signal: new AbortController().signal,
    };
    const { coalition, progress, signal } = session;
    warnAbout(coalition, values);
    progress.step("joining the coalition");
    const requester = await joinAsRequester(
      {
        coalition,
        clock: systemClock,
        log: roleLogger("error"),
        onSilent: (silent) => progress.note(`no answer yet from ${nameMembers(silent)}`),
      },
      signal,
    ).catch((error: unknown) => {
      progress.fail();
      throw error;
    });
    try {
      const code = await follow(session, requester);
      progress.done();
      return code;
    } catch (error) {
      progress.fail();
      throw error;
    } finally {
      await requester.leave();
    }
  },
};

interface Session extends Prepared {
  readonly values: Values;
  readonly json: boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

interface Prepared {
  readonly coalition: Coalition;
  readonly dir: string;
  /** A request that was made before, or what to make one of. */
  readonly task: SavedRequest | { readonly order: Order; readonly login: Login };
}

/** Every check that needs no network, before anything is written. Throws `bad-argument` or the coalition file's code. */
function prepare(values: Values): Prepared {
  const resume = values.text("resume");
  const dir = resume ?? values.required("out");
  if (resume !== undefined) refuseChanges(values, dir);
  hexOption(values, "pin", 32);
  const file = values.required("coalition");
  if (resume !== undefined) {
    const coalition = readCoalition(file, values.text("pin"));
    return { coalition, dir, task: readState(dir, coalition) };
  }
  const { login, publicKey } = chooseLogin(values);
  const order = orderOf(values, publicKey);
  const coalition = readCoalition(file, values.text("pin"));
  checkOrder(coalition, order);
  makeFolder(dir);
  return { coalition, dir, task: { order, login } };
}

const WITH_RESUME = ["resume", "coalition", "pin", "ssh-command", "wait-log", "json"];

/** The request is signed and perhaps sent: what it asks for can no longer be changed. */
function refuseChanges(values: Values, dir: string): void {
  const late = values.given.filter((name) => !WITH_RESUME.includes(name));
  if (late.length === 0) return;
  const names = late.map((name) => `--${name}`).join(", ");
  throw new BridgeError("bad-argument", `--resume goes on as it was; it takes no ${names}`, {
    fix: `leave ${late.length === 1 ? "it" : "them"} out, or make a new request with another --out than ${dir}`,
  });
}

async function follow(session: Session, requester: Requester): Promise<ExitCode> {
  const { dir, json, progress, signal, task, values } = session;
  const state = "order" in task ? makeRequest(session, requester, task) : task;
  if (!state.sent) {
    progress.step("sending the sealed request");
    progress.note(requester.transport.notice);
    await requester.send(state, signal);
    saveState(dir, { ...state, sent: true });
  }
  progress.step("waiting for a grant");
  const outcome = await requester.awaitReceipt(state, (step) => tell(progress, step), signal);
  // First, so that no trouble with files here makes the provider post the receipt again and again.
  await requester.acknowledge(state, outcome, signal).catch((error: unknown) => {
    progress.note(`the receipt could not be acknowledged: ${explain(error)}`);
  });
  const access = writing(dir, () => writeAccess(dir, outcome.receipt, keyFileOf(state.login, dir)));
  progress.done();

  const verdict = requester.verdictOn(outcome.grant.providerId);
  if (!json) showAccess({ outcome, access, verdict });
  const command = values.text("ssh-command");
  const ssh =
    command === undefined
      ? undefined
      : await runOnMachine(access, outcome.receipt, command, signal);
  if (ssh !== undefined) showCommand(ssh, json);
  let log: Awaited<ReturnType<Requester["awaitLog"]>> | undefined;
  if (values.has("wait-log")) {
    progress.step("waiting for the machine to end and its usage log");
    log = await requester.awaitLog(outcome.grant, signal);
    progress.done();
    if (!json) showLog(log);
  }
  if (json) printEnd({ outcome, access, verdict, ssh, log });
  return exitCodeOf({ ssh });
}

function makeRequest(
  session: Session,
  requester: Requester,
  { order, login }: { readonly order: Order; readonly login: Login },
): SavedRequest {
  showCandidates(session, requester);
  const state = { ...requester.compose(order), login };
  saveState(session.dir, state);
  return state;
}

function tell(progress: Progress, step: Step): void {
  if (step.step === "granted")
    progress.step(`granted in attempt ${step.grant.attempt}; waiting for the provider`);
  else if (step.step === "admitted")
    progress.step("admitted; waiting for the machine and its receipt");
  else progress.note(`refused: ${step.code}${step.detail === "" ? "" : ` (${step.detail})`}`);
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
