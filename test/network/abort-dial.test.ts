/** A dial that is aborted while it connects must fail, not end the process. */
import { expect, test } from "bun:test";
import { randomSeed, signingKey } from "../../src/base/ed25519.ts";
import { silentLogger } from "../../src/base/log.ts";
import { withPeerId } from "../../src/network/identity.ts";
import { startNode } from "../../src/network/node.ts";
import { silentListener } from "../support/silent-listener.ts";

test("stopping a node that is still connecting ends quietly", async () => {
  const listener = await silentListener();
  const faults: unknown[] = [];
  const note = (error: unknown): void => void faults.push(error);
  process.on("uncaughtException", note);
  try {
    for (const waitMs of [0, 5, 40]) {
      const node = await startNode({
        seed: randomSeed(),
        listen: [],
        announce: [],
        bootstrap: [
          withPeerId(`/ip4/127.0.0.1/tcp/${listener.port}`, signingKey(randomSeed()).publicKey),
        ],
        topic: "/abort",
        log: silentLogger,
      });
      await Bun.sleep(waitMs);
      await node.stop();
      await Bun.sleep(20); // a late error event would come now
    }
  } finally {
    process.off("uncaughtException", note);
    listener.close();
  }
  expect(faults).toEqual([]);
});
