/** Which stage carries out which effect. A state that has moved on has nothing to carry out. */
import { unreachable } from "../base/assert.ts";
import { BridgeError } from "../base/errors.ts";
import { isAnswered } from "../coalition/answers.ts";
import type { EffectHandler } from "../ledger/workers.ts";
import { watchMachine } from "../watch/watcher.ts";
import type { StageContext } from "./context.ts";
import { deliverStage, refuseStage, repostStage } from "./deliver.ts";
import { logStage } from "./log.ts";
import { createStage, inspectStage, routeStage, terminateStage } from "./machine.ts";
import { openStage } from "./open.ts";
import type { StandingKeeper } from "./standing.ts";

export function createHandlers(
  context: StageContext,
  standing: Pick<StandingKeeper, "now">,
): EffectHandler {
  const { fleet, clock, records } = context;
  /** Before each step towards a machine. */
  const mayGoOn = (): void => {
    if (standing.now() !== "fenced") return;
    throw new BridgeError("stale-epoch", "a newer instance of this provider spends in our place");
  };
  return async (effect, state, emit, signal) => {
    switch (effect.kind) {
      case "open":
        mayGoOn();
        return state.state === "received" ? await openStage(context, state, signal) : undefined;
      case "route":
        if (state.state !== "resolved") return undefined;
        return isAnswered(records, state.grant) ? { type: "answered" } : routeStage(context, state);
      case "inspect":
        return state.state === "resolved" ? await inspectStage(context, state, signal) : undefined;
      case "create":
        if (state.state !== "provisioning") return undefined;
        mayGoOn();
        return isAnswered(records, state.grant)
          ? { type: "answered" }
          : await createStage(context, state, signal);
      case "deliver":
        return state.state === "running" ? await deliverStage(context, state, signal) : undefined;
      case "repost":
        return state.state === "delivered" ? await repostStage(context, state, signal) : undefined;
      case "watch":
        return state.state === "running" || state.state === "delivered"
          ? await watchMachine(
              fleet.backend(state.machine.backend),
              state,
              () => clock.nowMs(),
              emit,
              signal,
            )
          : undefined;
      case "terminate":
        return state.state === "terminating"
          ? await terminateStage(context, state, signal)
          : undefined;
      case "log":
        return await logStage(context, state, signal);
      case "refuse":
        return state.state === "refused" || state.state === "failed"
          ? await refuseStage(context, state, signal)
          : undefined;
      default:
        return unreachable(effect.kind);
    }
  };
}
