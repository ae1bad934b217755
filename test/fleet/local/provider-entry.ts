/**
 * A provider that provisions and then waits to be killed:
 * `bun provider-entry.ts <stateDir> <order.json>`, which prints the machine and stays.
 */
import { readFileSync } from "node:fs";
import { bytes32, fromHex, toHex } from "../../../src/base/bytes.ts";
import { Secret } from "../../../src/base/secret.ts";
import { localBackend } from "../../../src/fleet/backends/local/backend.ts";
import { NEVER, options, order } from "./support.ts";

const [stateDir = "", file = ""] = process.argv.slice(2);
const given = JSON.parse(readFileSync(file, "utf8"));
const key = (name: string) => bytes32(fromHex(given[name]));
const machine = await localBackend(options({ stateDir })).provision(
  order({
    name: given.name,
    deadlineMs: given.deadlineMs,
    loginKey: key("loginKey"),
    bootstrapHostSeed: new Secret(key("bootstrapHostSeed")),
    bootstrapLoginSeed: new Secret(key("bootstrapLoginSeed")),
  }),
  NEVER,
);
console.log(JSON.stringify({ ...machine, hostKey: toHex(machine.hostKey) }));
setInterval(() => {}, 1e6);
