import { snapshotCodec } from "../admin/schemas.ts";
import { systemClock } from "../base/clock.ts";
import { DRAIN_LOOK_MS } from "../base/limits.ts";
import { lastDrain } from "../stages/state-dir.ts";
import { type AdminClient, adminClient, adminOptions, isGone } from "./admin-client.ts";
import { type Command, type ExitCode, print, printJson, type Values } from "./command.ts";
import { terminalProgress } from "./progress.ts";

const options = {
  ...adminOptions,
  terminate: { help: "at the end of drain.waitMs, end the machines that still run" },
  json: { help: "print JSON" },
};

const TOLD: Readonly<Record<string, string>> = {
  drained: "drained; the marker is published",
  live: "stopped with live grants and no marker; start it again to adopt them",
  unmarked:
    "nothing runs any more, but the members did not take the marker; start it again, and drain it again",
};

export const drainCommand: Command = {
  name: "drain",
  summary: "stop taking grants, wait for the live ones, stop",
  about:
    "Waits up to drain.waitMs for live grants, then publishes a signed stop marker and ends the provider.\n" +
    "If grants are still live then and --terminate is not given, the provider exits without a marker, exit\n" +
    "code 1 here too; its machines are found again by the next start.",
  options: { ...options, cancel: { help: "take a drain back" } },
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
  const json = values.has("json");
  await admin.post(path, { terminate: values.has("terminate") });
  const progress = terminalProgress();
  progress.step("waiting for live grants");
  const signal = new AbortController().signal;
  for (let live = -1; ; ) {
    await systemClock.sleep(DRAIN_LOOK_MS, signal);
    try {
      const { grants } = snapshotCodec.check(await admin.get("/api/v1/snapshot"));
      if (grants.active !== live) progress.note(`${grants.active} live`);
      live = grants.active;
    } catch (error) {
      if (!isGone(error)) throw error;
      break; // the provider has ended
    }
  }
  const result = lastDrain(admin.stateDir) ?? "live";
  if (result === "drained") progress.done();
  else progress.fail();
  if (json) printJson({ ok: result === "drained", result });
  else print(TOLD[result] ?? result);
  return result === "drained" ? 0 : 1;
}
