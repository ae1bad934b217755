/** An address that cannot be listened on is the operator's to change, so it says which and why. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { must } from "../../src/base/assert.ts";
import { silentLogger } from "../../src/base/log.ts";
import { type Node, startNode } from "../../src/network/node.ts";
import { seedNamed } from "../support/coalition.ts";

let first: Node;
let taken: string;

const start = (name: string, listen: readonly string[]): Promise<Node> =>
  startNode({
    seed: seedNamed(name),
    listen,
    announce: [],
    bootstrap: [],
    topic: "/test/listen",
    log: silentLogger,
  });

beforeAll(async () => {
  first = await start("first", ["/ip4/127.0.0.1/tcp/0"]);
  taken = must(first.addresses()[0]?.split("/p2p/")[0], "an address");
});
afterAll(() => first.stop());

test("a taken port, one of several included", async () => {
  for (const listen of [[taken], ["/ip4/127.0.0.1/tcp/0", taken]]) {
    await expect(start("second", listen)).rejects.toMatchObject({
      code: "config-invalid",
      message: `network.listen: ${taken} is in use by another process`,
    });
  }
});

test("an address of another host", async () => {
  await expect(start("third", ["/ip4/203.0.113.1/tcp/0"])).rejects.toMatchObject({
    code: "config-invalid",
    message: "network.listen: /ip4/203.0.113.1/tcp/0 is not an address of this host",
  });
});
