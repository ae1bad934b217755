/**
 * Peers that share an address are no offence: every start of a provider and every request is another peer, and many
 * of them come from one host. gossipsub's default score shuts out an address after ten peers within an hour.
 */
import { afterEach, expect, test } from "bun:test";
import type { Node } from "../../src/network/node.ts";
import { eventually } from "../support/eventually.ts";
import { addressOf, realNodes } from "./real-peers.ts";

const VISITORS = 16;
const PATIENCE_MS = 50_000; // for a loaded machine

const nodes = realNodes();
afterEach(() => nodes.stopAll());

test("gossip goes on after many peers have come and gone from one address", async () => {
  const server = await nodes.start();
  const address = addressOf(server);
  const heard = new Set<string>();
  server.onGossip((_, bytes) => {
    heard.add(Buffer.from(bytes).toString("latin1"));
    return "accept";
  });
  /** Said again until it is heard: a new peer's first words may come before its subscription. */
  const saysSomething = async (name: string, node: Node): Promise<void> => {
    let said = 0;
    await eventually(
      `the gossip of ${name}`,
      () => {
        said += 1;
        node.gossip(Buffer.from(`${name} ${said}`));
        return [...heard].some((text) => text.startsWith(`${name} `));
      },
      PATIENCE_MS,
    );
  };
  const client = await nodes.start({ listen: [], bootstrap: [address] });
  const visit = async (_: unknown, at: number): Promise<void> => {
    const visitor = await nodes.start({ listen: [], bootstrap: [address] });
    await saysSomething(`visitor ${at}`, visitor);
    await visitor.stop();
  };
  await Promise.all(Array.from({ length: VISITORS }, visit));
  await saysSomething("the client", client);
  expect(heard.size).toBeGreaterThan(VISITORS);
});
