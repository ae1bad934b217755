import { snapshotCodec } from "../admin/schemas.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { hasCode } from "../base/errors.ts";
import { ADMIN_SILENCE_MS, DRAIN_LOOK_MS } from "../base/limits.ts";
import type { DrainResult } from "../stages/drain.ts";
import { lastDrain } from "../stages/state-dir.ts";
import { type AdminClient, adminClient, adminOptions } from "./admin-client.ts";
import { type Command, type ExitCode, print, printJson, type Values } from "./command.ts";
import { type Progress, terminalProgress } from "./progress.ts";

const options = {
  ...adminOptions,
  terminate: { help: "at the end of drain.waitMs, end the machines that still run" },
  json: { help: "print JSON" },
};

/** How a drain ended: as the provider says, taken back, or by the end of a provider that said nothing. */
type Ending = DrainResult | "cancelled" | "ended";

const TOLD: Readonly<Record<Ending, string>> = {
  drained: "drained; the marker is published",
  live: "stopped with live grants and no marker; start it again: it adopts them and goes on draining",
  unmarked:
    "nothing runs any more, but the members did not take the marker; start it again: it goes on draining",
  cancelled: "the provider serves again: the drain was taken back, or it was started anew",
  ended: "the provider ended before its drain did; start it again: it goes on draining",
};

export const drainCommand: Command = {
  name: "drain",
  summary: "stop taking grants, wait for the live ones, stop",
  about:
    "Waits up to drain.waitMs for live grants, then publishes a signed stop marker and ends the provider.\n" +
    "If grants are still live then and --terminate is not given, the provider exits without a marker, exit\n" +
    "code 1 here too; the next start finds its machines and goes on draining.",
  options: {
    ...options,
    cancel: { help: "take a drain back, one that outlived the provider as well" },
  },
  examples: [
    "compute-bridge drain --config provider.toml",
    "compute-bridge drain --config provider.toml --terminate",
    "compute-bridge drain --config provider.toml --cancel",
  ],
  async run(values) {
    const admin = adminClient(values);
    if (!values.has("cancel")) return await order(values, admin, "/api/v1/drain");
    await admin.post("/api/v1/resume", {});
    if (values.has("json")) printJson({ ok: true, result: "resumed" });
    else print("the drain is taken back; the provider serves again");
    return 0;
  },
};

export const retireCommand: Command = {
  name: "retire",
  summary: "drain, then retire this provider for good",
  about:
    "As drain, with a retire marker: nothing supersedes it, and this provider's name never serves again.",
  options,
  examples: ["compute-bridge retire --config provider.toml --terminate"],
  run: (values) => order(values, adminClient(values), "/api/v1/retire"),
};

async function order(values: Values, admin: AdminClient, path: string): Promise<ExitCode> {
  await admin.post(path, { terminate: values.has("terminate") });
  const progress = terminalProgress();
  progress.step("waiting for live grants");
  let result: Ending;
  try {
    result = await untilEnded(admin, progress, systemClock);
  } catch (error) {
    progress.fail();
    throw error;
  }
  if (result === "drained") progress.done();
  else progress.fail();
  if (values.has("json")) printJson({ ok: result === "drained", result });
  else print(TOLD[result]);
  return result === "drained" ? 0 : 1;
}

/**
 * Follows the drain to its end, here or by somebody else's hand. A provider that does not answer has not gone; throws
 * `timeout` when it says nothing for long.
 */
export async function untilEnded(
  admin: AdminClient,
  progress: Progress,
  clock: Clock,
): Promise<Ending> {
  const signal = new AbortController().signal;
  let heardMs = clock.monotonicMs();
  for (let live = -1, silent = false; ; ) {
    await clock.sleep(DRAIN_LOOK_MS, signal);
    try {
      const { grants, provider } = snapshotCodec.check(await admin.get("/api/v1/snapshot"));
      if (provider.standing === "serving") return "cancelled";
      if (grants.active !== live || silent) progress.note(`${grants.active} live`);
      live = grants.active;
      heardMs = clock.monotonicMs();
      silent = false;
    } catch (error) {
      if (hasCode(error, "unreachable")) return endingOf(lastDrain(admin.stateDir));
      if (!hasCode(error, "timeout", "closed")) throw error;
      if (clock.monotonicMs() - heardMs >= ADMIN_SILENCE_MS) throw error;
      if (!silent) progress.note("the provider does not answer; still waiting");
      silent = true;
    }
  }
}

/** What the provider left behind when it ended. */
function endingOf(recorded: string | undefined): Ending {
  const endings: readonly Ending[] = ["drained", "live", "unmarked"];
  return endings.find((ending) => ending === recorded) ?? "ended";
}
