/** Orders: one machine each, within the capacity, and only what was offered. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { randomSeed, signingKey } from "../../../src/base/ed25519.ts";
import { localBackend } from "../../../src/fleet/backends/local/backend.ts";
import {
  bringUp,
  cleanUp,
  code,
  NEVER,
  type Order,
  options,
  order,
  processesUnder,
} from "./support.ts";

setDefaultTimeout(60_000);
afterAll(cleanUp);

test("the same order twice, one after the other or at once, is one machine", async () => {
  const used = options();
  const backend = localBackend(used);
  const wanted = order();
  const [first, second] = await Promise.all([
    backend.provision(wanted, NEVER),
    backend.provision(wanted, NEVER),
  ]);
  const third = await backend.provision(wanted, NEVER);
  expect(second).toEqual(first);
  expect(third).toEqual(first);
  expect(processesUnder(used.stateDir).length).toBe(1);
  const [offer] = await backend.capabilities(NEVER);
  expect(offer?.free).toBe(used.machinesMax - 1);
  const { machines, complete } = await backend.list(NEVER);
  expect(complete).toBe(true);
  expect(machines).toEqual([
    {
      backend: "local",
      name: wanted.name,
      tags: wanted.tags,
      createdMs: machines[0]?.createdMs ?? 0,
      state: "running",
      machine: first,
    },
  ]);
});

test("the same name with anything else in the order is a bug", async () => {
  const up = await bringUp();
  const other = { ...up.order, loginKey: signingKey(randomSeed()).publicKey };
  expect(await code(up.backend.provision(other, NEVER))).toBe("bug");
  const later = { ...up.order, deadlineMs: up.order.deadlineMs + 1 };
  expect(await code(up.backend.provision(later, NEVER))).toBe("bug");
});

test("what canSatisfy refuses is never started", async () => {
  const used = options();
  const backend = localBackend(used);
  const wrong: Partial<Order>[] = [
    { region: "elsewhere" },
    { tee: "tdx" },
    { shape: { ...used.shape, ramMib: used.shape.ramMib + 1 } },
    { image: { kind: "oci", digest: new Uint8Array(32), pointer: "x" } },
    { egress: { egress: "none", hosts: [] } },
    { tags: { ...order().tags, providerId: "provider-b" } },
    { name: "../escape" },
    { name: "" },
  ];
  for (const changes of wrong) {
    expect(await code(backend.provision({ ...order(), ...changes }, NEVER))).toBe("bug");
  }
  expect(existsSync(used.stateDir) ? readdirSync(used.stateDir) : []).toEqual([]);
  expect(existsSync(join(dirname(used.stateDir), "escape"))).toBe(false);
});

test("machines over the maximum are refused as capacity, and an ended one makes room", async () => {
  const used = options({ machinesMax: 2 });
  const backend = localBackend(used);
  const machines = await Promise.all([
    backend.provision(order(), NEVER),
    backend.provision(order(), NEVER),
  ]);
  expect((await backend.capabilities(NEVER))[0]?.free).toBe(0);
  expect(await code(backend.provision(order(), NEVER))).toBe("capacity");
  expect(processesUnder(used.stateDir).length).toBe(2);
  const [gone] = machines;
  if (gone !== undefined) expect(await backend.terminate(gone, NEVER)).toBe("gone");
  expect((await backend.capabilities(NEVER))[0]?.free).toBe(1);
  await backend.provision(order(), NEVER);
});

test("a range without a free port is refused as capacity", async () => {
  const { machine } = await bringUp();
  const range = { first: machine.port, last: machine.port };
  const used = options({ portRange: range });
  const wanted = order();
  expect(await code(localBackend(used).provision(wanted, NEVER))).toBe("capacity");
  expect((await localBackend(used).list(NEVER)).machines).toEqual([]);
});

test("a machine takes its port from the range", async () => {
  const { machine } = await bringUp();
  const range = { first: machine.port, last: Math.min(65_535, machine.port + 50) };
  const second = await bringUp({ portRange: range });
  expect(second.machine.port).toBeGreaterThan(machine.port);
  expect(second.machine.port).toBeLessThanOrEqual(range.last);
});

test("an order whose deadline has passed is never started", async () => {
  const used = options();
  const late = order({ deadlineMs: Date.now() - 1 });
  expect(await code(localBackend(used).provision(late, NEVER))).toBe("machine-ended");
});
