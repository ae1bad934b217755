/** What a request's end looks like: the way in, what the command on the machine said, the usage log. */
import type { Verdict } from "../attestation/verdict.ts";
import { toHex } from "../base/bytes.ts";
import type { ComputeLog } from "../coalition/log.ts";
import { shellQuote } from "../config/secrets.ts";
import { type Access, END_COMMAND } from "../receipt/access.ts";
import type { LoginResult } from "../receipt/login.ts";
import type { Outcome } from "../requester.ts";
import { type ExitCode, print, printJson } from "./command.ts";
import { usageView } from "./usage-view.ts";

export interface Ended {
  readonly outcome: Outcome;
  readonly access: Access;
  readonly verdict: Verdict;
  /** Absent without --ssh-command. */
  readonly ssh: LoginResult | undefined;
  /** Absent without --wait-log. */
  readonly log: ComputeLog | undefined;
}

export function showAccess({ outcome, access, verdict }: Omit<Ended, "ssh" | "log">): void {
  const login = access.command.map(shellQuote).join(" ");
  print(`provider  ${toHex(outcome.grant.providerId).slice(0, 12)}`);
  print(`verdict   ${verdict.verdict} (${verdict.code})`);
  print(`host key  ${access.fingerprint}`);
  print(`log in    ${login}`);
  print(`end early ${login} ${END_COMMAND}`);
  print(`ends      ${new Date(outcome.receipt.notAfterMs).toISOString()} at the latest`);
}

/** The machine's own words, each on the stream it chose; with --json standard output is ours alone. */
export function showCommand({ stdout, stderr, exitCode }: LoginResult, json: boolean): void {
  if (!json) process.stdout.write(`\n${stdout}`);
  process.stderr.write(stderr);
  // OpenSSH ends with 255 for a failure of its own, too (ssh(1), EXIT STATUS).
  const what =
    exitCode === 255 ? "the login, or the command on the machine," : "the command on the machine";
  if (exitCode !== 0) process.stderr.write(`${what} ended with ${exitCode}\n`);
}

export function showLog(log: ComputeLog): void {
  print(`usage     ${JSON.stringify(logView(log))}`);
}

/** What failed on the machine has failed; a request whose machine is up and asked for nothing more has not. */
export function exitCodeOf({ ssh }: Pick<Ended, "ssh">): ExitCode {
  return ssh === undefined || ssh.exitCode === 0 ? 0 : 1;
}

export function printEnd(ended: Ended): void {
  const { outcome, access, verdict, ssh, log } = ended;
  const { receipt, grant } = outcome;
  printJson({
    ok: exitCodeOf(ended) === 0,
    requestId: toHex(grant.requestId),
    providerId: toHex(grant.providerId),
    grant: { attempt: grant.attempt, validToTick: grant.validToTick },
    receipt: { host: receipt.instanceHost, port: receipt.instancePort, user: receipt.user },
    sshConfig: access.configPath,
    ...(ssh === undefined
      ? {}
      : { ssh: { client: ssh.client, exitCode: ssh.exitCode, stdout: ssh.stdout } }),
    ...(log === undefined ? {} : { log: logView(log) }),
    attestation: { verdict: verdict.verdict, code: verdict.code },
  });
}

function logView({ status, usage }: ComputeLog): object {
  return { status, usage: usageView(usage) };
}
