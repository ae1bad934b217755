/**
 * A simulated requester: it sends one request, waits as a person would, tries to log in with what the receipt says, and
 * acknowledges. What it is told must fit what the cloud did.
 */
import { equal } from "../../src/base/bytes.ts";
import { signingKey } from "../../src/base/ed25519.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { MINUTE_MS, SECOND_MS } from "../../src/base/limits.ts";
import { silentLogger } from "../../src/base/log.ts";
import type { SshAccessReceipt } from "../../src/receipt/receipt.ts";
import { joinAsRequester, type Outcome, type Requester } from "../../src/requester.ts";
import { testOrder } from "../support/actors.ts";
import { keyNamed } from "../support/coalition.ts";
import type { CloudMachine } from "./cloud.ts";
import { SIM_PRICE_MICROS } from "./cloud-backend.ts";
import { short } from "./observer.ts";
import { SKEW_MS_MAX, type World } from "./world.ts";

export interface SimRequest {
  readonly name: string;
  /** Undefined while it waits; then the receipt, or the code it gave up with. */
  outcome: Outcome | string | undefined;
}

export interface Shopper {
  /** Joins, sends, waits, logs in, acknowledges; resolves when all that is over. */
  shop(name: string): SimRequest;
}

const PATIENCE_TICKS = 40;
const NEVER = new AbortController().signal;

export function createShopper(world: World, machines: () => readonly CloudMachine[]): Shopper {
  return {
    shop(name) {
      const request: SimRequest = { name, outcome: undefined };
      world.observer.counts.requests += 1;
      void buy(request).catch((error: unknown) => {
        request.outcome = error instanceof BridgeError ? error.code : `bug: ${String(error)}`;
        world.observer.note(`${name} gives up: ${request.outcome}`);
        if (!(error instanceof BridgeError)) world.observer.breach(`${name}: ${String(error)}`);
      });
      return request;
    },
  };

  async function buy(request: SimRequest): Promise<void> {
    const { clock, dice, observer, ceremony, network } = world;
    const ownKey = dice.chance(0.5);
    const requester = await joinAsRequester(
      { coalition: ceremony.coalition, clock, log: silentLogger, join: network.join },
      NEVER,
    );
    const state = requester.compose(
      testOrder({
        sshKey: ownKey ? keyNamed("ssh login").publicKey : undefined,
        maxPricePerHourMicros: SIM_PRICE_MICROS,
        patienceTicks: PATIENCE_TICKS,
        durationMs: MINUTE_MS,
      }),
    );
    observer.note(`${request.name} asks as ${short(state.requestId)}`);
    await untilSent(requester, state);
    const outcome = await requester.awaitReceipt(state, () => {}, NEVER);
    logIn(outcome, ownKey);
    request.outcome = outcome;
    observer.counts.receipts += 1;
    observer.served(outcome.grant);
    if (dice.chance(0.9)) await acknowledge(requester, state, outcome);
    if (dice.chance(0.5)) await powerOff(outcome.receipt);
    await clock.sleep(10 * SECOND_MS);
    await requester.leave();
  }

  async function untilSent(requester: Requester, state: ReturnType<Requester["compose"]>) {
    for (;;) {
      try {
        await requester.send(state, NEVER);
        return;
      } catch (error) {
        if (!(error instanceof BridgeError)) throw error;
        if (requester.records.tick().seq > state.expiryTick) throw error;
        await world.clock.sleep(2 * SECOND_MS);
      }
    }
  }

  /** The machine the receipt names exists, under that host key, and lets this login key in. */
  function logIn({ grant, receipt }: Outcome, ownKey: boolean): void {
    const { observer } = world;
    const what = `the receipt of ${short(grant.requestId)}`;
    const machine = machines().find(({ host }) => host === receipt.instanceHost);
    if (machine === undefined || machine.upMs === undefined) {
      observer.breach(`${what} names a machine that never ran`);
      return;
    }
    observer.note(`receipt for ${short(grant.requestId)}: ${machine.host} is ${machine.state}`);
    if (!equal(machine.hostKey, receipt.sshHostKey))
      observer.breach(`${what} has another host key`);
    const login =
      receipt.sshKeyPrivate === undefined
        ? keyNamed("ssh login").publicKey
        : signingKey(receipt.sshKeyPrivate).publicKey;
    if (ownKey === (receipt.sshKeyPrivate !== undefined)) observer.breach(`${what}: whose key?`);
    if (!equal(machine.order.loginKey, login)) observer.breach(`${what} has a key nobody lets in`);
    const early = world.clock.nowMs() < machine.order.deadlineMs - SKEW_MS_MAX;
    if (machine.endedBy === "terminate" && early && world.keepsTime(machine))
      observer.breach(`${what} came after the provider had ended the machine`);
  }

  async function acknowledge(
    requester: Requester,
    state: ReturnType<Requester["compose"]>,
    outcome: Outcome,
  ): Promise<void> {
    try {
      await requester.acknowledge(state, outcome, NEVER);
    } catch (error) {
      world.observer.note(
        `no acknowledgement of ${short(outcome.grant.requestId)}: ${String(error)}`,
      );
    }
  }

  async function powerOff({ instanceHost }: SshAccessReceipt): Promise<void> {
    await world.clock.sleep(world.dice.between(SECOND_MS, 30 * SECOND_MS));
    const machine = machines().find(({ host }) => host === instanceHost);
    if (machine?.state !== "running") return;
    world.observer.note(`${instanceHost} is powered off by its tenant`);
    world.endMachine(machine);
  }
}
