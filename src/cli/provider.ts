import { explain } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { REGION_CLASSES } from "../coalition/classes.ts";
import { loadProviderConfig, readConfigFile } from "../config/load.ts";
import { type OperatedProvider, operateProvider } from "../operate.ts";
import type { Command, ExitCode } from "./command.ts";
import { onStopSignal, roleLogger } from "./role.ts";

export const providerCommand: Command = {
  name: "provider",
  summary: "run a provider",
  about:
    "SIGTERM drains: no new grants, the live ones are waited for up to drain.waitMs, then a signed stop marker.\n" +
    "If grants are still live at the bound, the exit code is 1 and there is no marker; a second signal exits at\n" +
    "once. Either way the next start finds the machines and goes on draining; drain --cancel ends that.",
  options: {
    config: { value: "FILE", help: "the provider's configuration" },
    set: { value: "KEY=VALUE", multiple: true, help: "override one setting" },
  },
  examples: [
    "compute-bridge provider --config provider.toml",
    "compute-bridge provider --config provider.toml --set limits.killSwitch=true",
  ],
  async run(values) {
    const source = readConfigFile(values.required("config"));
    const { config } = loadProviderConfig(source, {
      env: process.env,
      flags: values.list("set"),
      regionClasses: REGION_CLASSES,
    });
    const log = roleLogger(config.log.level);
    return await serve(await operateProvider(config, process.env, log), log);
  },
};

/** Runs until a signal or the operator drains it, or a newer instance of the same provider takes over. */
async function serve(operated: OperatedProvider, log: Logger): Promise<ExitCode> {
  const { provider, stopper } = operated;
  onStopSignal(log, () => stopper.drain({ terminate: false }));
  const code = await Promise.race([
    stopper.done.then(({ result }): ExitCode => {
      if (result === "drained") return 0;
      if (result === "live")
        log.error("grants-left-running", {
          fix: "start again: it adopts them and goes on draining, until compute-bridge drain --cancel",
        });
      return 1;
    }),
    provider.standing.fenced.then((): ExitCode => {
      log.error("fenced", { why: "a newer instance of this provider runs elsewhere" });
      return 1;
    }),
    provider.ready.then(
      () => new Promise<never>(() => {}),
      (error: unknown): ExitCode => {
        process.stderr.write(`compute-bridge: ${explain(error)}\n`);
        return 1;
      },
    ),
  ]);
  await operated.close();
  return code;
}
