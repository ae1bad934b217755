import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { type DemoResult, runDemo } from "../demo.ts";
import { type Command, print, printJson } from "./command.ts";
import { plainProgress, terminalProgress } from "./progress.ts";
import { onStopSignal, roleLogger, untilAsked } from "./role.ts";
import { twoColumns } from "./text.ts";
import { usageView } from "./usage-view.ts";

const SSH_COMMAND =
  'echo "hello from $(hostname), pid $$"; id; date -u; echo compute-bridge | sha256sum';

export const demoCommand: Command = {
  name: "demo",
  summary: "the whole thing on this machine: coalition, provider, request, login",
  about:
    "Starts three committee members, a provider with the local backend and one requester; a sealed request\n" +
    "becomes a committee-signed grant, a machine, a sealed receipt, a real SSH login and a signed usage log.\n" +
    "Everything stays on loopback. The machine is a child process and isolates nothing.",
  options: {
    "ssh-command": { value: "CMD", help: "run this on the machine" },
    keep: { help: "leave everything running and print the admin address" },
    verbose: { help: "show the log of every part" },
    json: { help: "end with one line of JSON" },
  },
  examples: [
    "compute-bridge-dev demo",
    "compute-bridge-dev demo --json --ssh-command 'echo nonce | sha256sum'",
    "compute-bridge-dev demo --keep",
  ],
  async run(values) {
    const json = values.has("json");
    const progress = json ? plainProgress() : terminalProgress();
    const log = roleLogger(values.has("verbose") ? "info" : "error");
    const dir = mkdtempSync(join(tmpdir(), "compute-bridge-demo-"));
    const stop = untilAsked();
    const abort = new AbortController();
    onStopSignal(log, () => {
      stop.ask();
      abort.abort();
    });
    try {
      const demo = await runDemo(
        {
          dir,
          sshCommand: values.text("ssh-command") ?? SSH_COMMAND,
          log,
          onStep: progress.step,
          onNote: progress.note,
        },
        abort.signal,
      );
      progress.done();
      if (json) printJson(jsonOf(demo.result));
      else show(demo.result);
      if (values.has("keep")) {
        showKept(dir, demo.opened.admin.url, json);
        await stop.asked;
      }
      await demo.stop();
      return demo.result.ssh.exitCode === 0 ? 0 : 1;
    } catch (error) {
      progress.fail();
      if (abort.signal.aborted) throw interrupted();
      throw error;
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
};

/** With --json the one line of JSON stays the last on standard output. */
function showKept(dir: string, adminUrl: string, json: boolean): void {
  const stream = json ? process.stderr : process.stdout;
  stream.write(`kept       ${dir}\nadmin      ${adminUrl}\nends       with Ctrl-C\n`);
}

/** What broke because of it is no news to whoever pressed Ctrl-C. */
function interrupted(): BridgeError {
  return new BridgeError("closed", "interrupted; what the demo started has been ended");
}

function show({ ssh, log, verdict, timingsMs, grant }: DemoResult): void {
  print(`\n--- ${ssh.client === "openssh" ? "OpenSSH" : "ssh2"}, exit ${ssh.exitCode} ---`);
  process.stdout.write(ssh.stdout);
  if (ssh.stderr !== "") process.stderr.write(ssh.stderr);
  print("---");
  const { cpuCoreSeconds, ramMibSeconds, netBytes, basis } = usageView(log.usage);
  print(`usage log  ${log.status}, signed by provider ${toHex(grant.providerId).slice(0, 12)}`);
  print(
    `           ${cpuCoreSeconds} core s, ${ramMibSeconds} MiB s, network ${netBytes ?? "unknown"} (${basis})`,
  );
  print(`verdict    ${verdict.verdict} (${verdict.code})`);
  const times = Object.entries(timingsMs).map(([name, ms]) => `${name} ${ms} ms`);
  for (const line of twoColumns([["times    ", times.join(", ")]])) print(line.slice(2));
}

function jsonOf({ requestId, grant, receipt, ssh, log, verdict, timingsMs }: DemoResult): object {
  return {
    ok: ssh.exitCode === 0,
    requestId: toHex(requestId),
    providerId: toHex(grant.providerId),
    grant: { attempt: grant.attempt, validToTick: grant.validToTick },
    receipt: { host: receipt.instanceHost, port: receipt.instancePort, user: receipt.user },
    ssh: { client: ssh.client, exitCode: ssh.exitCode, stdout: ssh.stdout },
    log: { status: log.status, usage: usageView(log.usage) },
    attestation: { verdict: verdict.verdict, code: verdict.code },
    timingsMs,
  };
}
