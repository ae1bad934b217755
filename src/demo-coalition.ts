/** The embedded coalition of the demo: a committee on this machine, in this process. Development build only. */
import { createServer } from "node:net";
import { join } from "node:path";
import { systemClock } from "./base/clock.ts";
import { BridgeError } from "./base/errors.ts";
import type { Logger } from "./base/log.ts";
import { Secret } from "./base/secret.ts";
import type { Shutdown } from "./base/shutdown.ts";
import { type Ceremony, runCeremony } from "./coalition/ceremony.ts";
import { writeCeremony } from "./coalition/ceremony-files.ts";
import { startMember } from "./member.ts";
import { withPeerId } from "./network/identity.ts";

/** CI looks for these bytes: the production build must not contain them. */
export const DEMO_BANNER =
  "compute-bridge embedded coalition (development, one machine, no anonymity)";

export const MEMBERS = 3;
export const THRESHOLD = 2;
const TICK_MS = 500;

export async function makeCoalition(dir: string): Promise<Ceremony> {
  const ports = await freePorts(MEMBERS);
  const address = (index: number): string => `/ip4/127.0.0.1/tcp/${ports[index - 1]}`;
  const ceremony = runCeremony({
    name: "demo",
    members: MEMBERS,
    threshold: THRESHOLD,
    currency: "USD",
    tickMs: TICK_MS,
    address,
    withPeerId,
  });
  writeCeremony(join(dir, "coalition"), ceremony, (index) => ({ listen: address(index) }));
  return ceremony;
}

export async function startMembers(
  { coalition, secrets }: Ceremony,
  dir: string,
  log: Logger,
  shutdown: Shutdown,
): Promise<void> {
  await Promise.all(
    secrets.map(async ({ index, seed, grantShare, unsealShare }) => {
      const stateDir = join(dir, "coalition", `member-${index}`, "state");
      const listen =
        coalition.members[index - 1]?.addresses.map((address) => address.split("/p2p/")[0] ?? "") ??
        [];
      const member = await startMember({
        coalition,
        index,
        seed: new Secret(seed),
        grantShare: new Secret(grantShare),
        unsealShare: new Secret(unsealShare),
        stateDir,
        listen,
        announce: [],
        clock: systemClock,
        log,
      });
      shutdown.defer(`member-${index}`, () => member.stop());
    }),
  );
}

/** Ports that were free a moment ago; the coalition file must name them before the members listen. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  return await Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      if (address === null || typeof address === "string")
        throw new BridgeError("invariant", "a TCP port has a number");
      await new Promise((resolve) => server.close(resolve));
      return address.port;
    }),
  );
}
