/** The machine's server alone, in this process, where the test owns the clock. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { join } from "node:path";
import type { Bytes32 } from "../../../src/base/bytes.ts";
import { type Clock, systemClock } from "../../../src/base/clock.ts";
import { randomSeed, signingKey } from "../../../src/base/ed25519.ts";
import { LOCAL_CONNECTIONS_MAX, LOCAL_LOGIN_GRACE_MS } from "../../../src/base/limits.ts";
import { silentLogger } from "../../../src/base/log.ts";
import { HANDOVER_COMMAND, readKey, writeKey } from "../../../src/fleet/backends/local/handover.ts";
import { createLauncher } from "../../../src/fleet/backends/local/limits.ts";
import { type MachineServer, startServer } from "../../../src/fleet/backends/local/server.ts";
import { createTenant } from "../../../src/fleet/backends/local/tenant.ts";
import { cleanUp, connect, exec, order, SHAPE, stateDir, until } from "./support.ts";

setDefaultTimeout(60_000);
afterAll(cleanUp);

const open: MachineServer[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

async function serve(
  clock: Clock,
  hostSeed = randomSeed(),
): Promise<{
  server: MachineServer;
  wanted: ReturnType<typeof order>;
  bootstrapHostKey: Bytes32;
  hostKeys: Bytes32[];
}> {
  const folder = join(stateDir(), "m");
  mkdirSync(folder);
  const wanted = order();
  const hostKeys: Bytes32[] = [];
  const launcher = await createLauncher(SHAPE);
  const server = await startServer({
    bootstrapHostSeed: hostSeed,
    bootstrapLoginKey: signingKey(wanted.bootstrapLoginSeed.reveal()).publicKey,
    loginKey: wanted.loginKey,
    ports: null,
    tenant: createTenant(folder, launcher, clock, silentLogger),
    onHandedOver: (hostKey) => hostKeys.push(hostKey),
    clock,
    log: silentLogger,
  });
  open.push(server);
  return { server, wanted, bootstrapHostKey: signingKey(hostSeed).publicKey, hostKeys };
}

/** Waits of the length of the login grace end when the test says so. */
function graceClock(): { clock: Clock; expire: () => void } {
  const waiting: (() => void)[] = [];
  return {
    clock: {
      ...systemClock,
      sleep: (delayMs, signal) =>
        delayMs === LOCAL_LOGIN_GRACE_MS
          ? new Promise((resolve) => {
              waiting.push(resolve);
              signal?.addEventListener("abort", () => resolve());
            })
          : systemClock.sleep(delayMs, signal),
    },
    expire: () => {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.resume();
  });

test("a connection that says nothing, or never logs in, is closed when its grace is over", async () => {
  const { clock, expire } = graceClock();
  const { server } = await serve(clock);
  for (const greeting of ["", "SSH-2.0-idle\r\n"]) {
    const idle = connectTcp(server.port, "127.0.0.1");
    await new Promise((resolve) => idle.once("data", resolve));
    idle.write(greeting);
    const end = closed(idle);
    expire();
    await end;
  }
});

test("a bootstrap login does not outlast the grace, a tenant's does", async () => {
  const { clock, expire } = graceClock();
  const { server, wanted, bootstrapHostKey, hostKeys } = await serve(clock);
  const bootstrap = wanted.bootstrapLoginSeed.reveal();
  const idle = await connect(server, bootstrap, bootstrapHostKey);
  const end = new Promise((resolve) => idle.once("close", () => resolve(undefined)));
  expire();
  await end;

  const boot = await connect(server, bootstrap, bootstrapHostKey);
  await exec(boot, HANDOVER_COMMAND, writeKey("loginKey", wanted.loginKey));
  const [hostKey] = hostKeys;
  if (hostKey === undefined) throw new Error("it was handed over");
  const tenant = await connect(server, wanted.loginSeed, hostKey);
  expire();
  expect((await exec(tenant, "echo still here")).text).toBe("still here\n");
  tenant.end();
});

test("connections are bounded", async () => {
  const { server } = await serve(systemClock);
  const sockets = Array.from({ length: LOCAL_CONNECTIONS_MAX }, () => {
    const socket = connectTcp(server.port, "127.0.0.1");
    socket.on("error", () => {});
    return socket;
  });
  await Promise.all(
    sockets.map((socket) => new Promise((resolve) => socket.once("data", resolve))),
  );
  const extra = connectTcp(server.port, "127.0.0.1");
  let greeted = false;
  extra.on("data", () => {
    greeted = true;
  });
  await closed(extra);
  expect(greeted).toBe(false);
  sockets[0]?.destroy();
  const enters = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connectTcp(server.port, "127.0.0.1");
      socket.on("error", () => resolve(false));
      socket.on("close", () => resolve(false));
      socket.once("data", () => {
        resolve(true);
        socket.destroy();
      });
    });
  await until(enters);
  for (const socket of sockets) socket.destroy();
});

test("a host key that begins with a zero byte serves as well as any other", async () => {
  // One in 256: what tools that strip leading zeros get wrong.
  let seed = randomSeed();
  while (signingKey(seed).publicKey[0] !== 0) seed = randomSeed();
  const { server, wanted } = await serve(systemClock, seed);
  const client = await connect(
    server,
    wanted.bootstrapLoginSeed.reveal(),
    signingKey(seed).publicKey,
  );
  client.end();
});

test("the handover's messages carry exactly one key", () => {
  const key = signingKey(randomSeed()).publicKey;
  expect(readKey("hostKey", writeKey("hostKey", key))).toEqual(key);
  expect(() => readKey("hostKey", writeKey("loginKey", key))).toThrow();
});
