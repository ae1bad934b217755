/** The requester of a row: asks, waits for the receipt, logs in and ends the machine when the row says so. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomSeed, signingKey } from "../../src/base/ed25519.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { MINUTE_MS } from "../../src/base/limits.ts";
import { sshPrivateFile } from "../../src/base/ssh-keys.ts";
import type { RegionClass } from "../../src/coalition/classes.ts";
import { type Access, END_COMMAND, writeAccess } from "../../src/receipt/access.ts";
import { runOnMachine } from "../../src/receipt/login.ts";
import type { SshAccessReceipt } from "../../src/receipt/receipt.ts";
import type { Outcome } from "../../src/requester.ts";
import { testOrder } from "../support/actors.ts";
import type { Stage } from "./kill-stage.ts";

const NONCE = "it answers";
const RETRY_MS = 250;

export interface Order {
  readonly regionClass: RegionClass;
  /** `none` is refused by every local machine, once the envelope is open. */
  readonly egress?: "open" | "none";
}

export interface Asked {
  /** In hex. */
  readonly requestId: string;
  /** Nothing has left the requester before. */
  send(): Promise<void>;
  /** The machine of the grant that came to a receipt; undefined when none will. Stops waiting at the signal. */
  receipt(signal: AbortSignal): Promise<Reached | undefined>;
  /** True once `receipt` knows that no provider takes the request any more. */
  hopeless(): boolean;
}

export interface Reached {
  /** Runs a command on it over SSH; its standard output. */
  run(command: string): Promise<string>;
  answers(): Promise<boolean>;
  /** The tenant powers it off. */
  end(): Promise<void>;
}

export function compose(stage: Stage, { regionClass, egress = "open" }: Order): Asked {
  const { requester, sandbox } = stage;
  const seed = randomSeed();
  const order = testOrder();
  const state = requester.compose({
    ...order,
    regionClass,
    manifest: { ...order.manifest, networkPolicy: { egress, hosts: [] } },
    durationMs: 15 * MINUTE_MS,
    sshKey: signingKey(seed).publicKey,
  });
  const dir = join(sandbox.root, "requests", state.requestId.slice(0, 16));
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const keyPath = join(dir, "id_ed25519");
  writeFileSync(keyPath, sshPrivateFile(seed, "test"), { mode: 0o600 });
  let hopeless = false;
  return {
    requestId: state.requestId,
    hopeless: () => hopeless,
    send: () => requester.send(state, AbortSignal.timeout(MINUTE_MS)),
    async receipt(signal) {
      const outcome = await orNone(
        requester.awaitReceipt(state, () => {}, signal),
        signal,
      );
      hopeless = outcome === undefined && !signal.aborted;
      if (outcome === undefined) return undefined;
      await requester.acknowledge(state, outcome, signal);
      return reach(writeAccess(dir, outcome.receipt, keyPath), outcome.receipt);
    },
  };
}

function reach(access: Access, receipt: SshAccessReceipt): Reached {
  const run = async (command: string): Promise<string> => {
    const { stdout } = await runOnMachine(access, receipt, command, AbortSignal.timeout(MINUTE_MS));
    return stdout;
  };
  const answers = async (): Promise<boolean> =>
    (await run(`echo ${NONCE}`).catch(() => "")).trim() === NONCE;
  return {
    run,
    answers,
    async end() {
      do {
        await run(END_COMMAND).catch(() => undefined); // the machine cuts the line
      } while (await answers());
    },
  };
}

/**
 * Whoever gets a receipt can log in, whatever happened to the provider since, and ends the machine when it may. Tries
 * for as long as the signal lets it, because members and machines may be dead or slow; returns what went wrong.
 */
export async function beTenant(
  asked: Asked,
  mayEnd: Promise<void>,
  signal: AbortSignal,
): Promise<string[]> {
  let complaint = "";
  while (!signal.aborted) {
    try {
      const machine = await asked.receipt(signal);
      if (machine === undefined) {
        await Bun.sleep(RETRY_MS); // under load a grant may still come that nobody waits for any more
        continue;
      }
      if (!(await machine.answers())) throw new Error("the machine does not answer");
      await mayEnd;
      await machine.end();
      return [];
    } catch (error) {
      complaint = `the tenant: ${error}`;
      await Bun.sleep(RETRY_MS);
    }
  }
  return complaint === "" ? [] : [complaint];
}

/** A request that no provider takes in the end is a legal outcome; every other failure is not. */
async function orNone(
  outcome: Promise<Outcome>,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  try {
    return await outcome;
  } catch (error) {
    const legal = ["attempts-exhausted", "no-grant", "not-eligible"];
    if (signal.aborted) return undefined;
    if (error instanceof BridgeError && legal.includes(error.code)) return undefined;
    throw error;
  }
}
