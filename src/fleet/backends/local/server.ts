/**
 * The machine's SSH server, on loopback only. It has two doors on one port: until the handover the bootstrap door,
 * which shows the bootstrap host key, admits the bootstrap login key and serves one command; afterwards the
 * tenant's door, which shows the fresh host key and admits the tenant's key. No password, no forwarding of any
 * kind, no subsystem: what has no handler here is refused by the library.
 */
import { createServer, type Socket, type Server as TcpServer } from "node:net";
import {
  type AuthContext,
  type ClientInfo,
  type Connection,
  Server,
  type ServerChannel,
  utils,
} from "ssh2";
import { assert, must } from "../../../base/assert.ts";
import { type Bytes32, concat, equal } from "../../../base/bytes.ts";
import type { Clock } from "../../../base/clock.ts";
import { randomSeed, signingKey } from "../../../base/ed25519.ts";
import { BridgeError } from "../../../base/errors.ts";
import {
  HANDOVER_OUTPUT_BYTES_MAX,
  LOCAL_AUTH_FAILURES_MAX,
  LOCAL_CONNECTIONS_MAX,
  LOCAL_LOGIN_GRACE_MS,
} from "../../../base/limits.ts";
import type { Logger } from "../../../base/log.ts";
import { sshBlob, sshPrivateFile, sshPublicLine } from "../../../base/ssh-keys.ts";
import { HANDOVER_COMMAND, readKey, writeKey } from "./handover.ts";
import { LOCAL_BACKEND_MARKER } from "./marker.ts";
import { errno } from "./records.ts";
import type { PortRange } from "./schemas.ts";
import { serveSessions } from "./session.ts";
import { TENANT_USER, type Tenant } from "./tenant.ts";

export interface ServerOptions {
  readonly bootstrapHostSeed: Bytes32;
  readonly bootstrapLoginKey: Bytes32;
  readonly loginKey: Bytes32;
  readonly ports: PortRange | null;
  readonly tenant: Tenant;
  /** Called once, before the answer to the handover leaves. */
  readonly onHandedOver: (hostKey: Bytes32) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface MachineServer {
  readonly port: number;
  close(): void;
}

interface Door {
  readonly server: Server;
  readonly clients: Set<Connection>;
  /** False: nobody comes in any more. */
  open: boolean;
  /** What becomes of a client that logged in. */
  serve: (client: Connection, from: ClientInfo) => void;
}

/** What lifts the limit on a connection's login, by its remote port. */
type LoginLimits = Map<number | undefined, AbortController>;

/** Throws `capacity` when no port of the range is free. */
export async function startServer(options: ServerOptions): Promise<MachineServer> {
  const limits: LoginLimits = new Map();
  const bootstrap = createDoor(options.bootstrapHostSeed, options.bootstrapLoginKey, options.log);
  let current = bootstrap;
  bootstrap.serve = (client) =>
    serveHandover(client, options, () => {
      if (!bootstrap.open) throw new BridgeError("superseded", "the handover was done before");
      bootstrap.open = false;
      const seed = randomSeed(); // ssh2's own generator spoils one ed25519 key in 256
      current = createDoor(seed, options.loginKey, options.log);
      current.serve = (tenantClient, { port: remotePort }) => {
        limits.get(remotePort)?.abort();
        serveSessions(tenantClient, options.tenant);
      };
      const hostKey = signingKey(seed).publicKey;
      options.onHandedOver(hostKey);
      for (const other of bootstrap.clients) if (other !== client) other.end();
      return hostKey;
    });
  const tcp = createServer((socket) => {
    limitLogin(socket, limits, options.clock);
    current.server.injectSocket(socket);
  });
  const port = await listen(tcp, options.ports);
  tcp.on("error", (error) => options.log.warn("listener-error", { error }));
  return {
    port,
    close() {
      tcp.close();
      for (const door of [bootstrap, current]) {
        door.open = false;
        for (const client of door.clients) client.end();
      }
    },
  };
}

/** Closes a connection that has not logged in when its grace is over. The bootstrap door never lifts the limit. */
function limitLogin(socket: Socket, limits: LoginLimits, clock: Clock): void {
  const limit = new AbortController();
  const { remotePort } = socket; // the one thing the library tells about a connection later
  limits.set(remotePort, limit);
  socket.once("close", () => {
    limits.delete(remotePort);
    limit.abort();
  });
  void clock.sleep(LOCAL_LOGIN_GRACE_MS, limit.signal).then(() => {
    if (!limit.signal.aborted) socket.destroy();
  });
}

function createDoor(hostSeed: Bytes32, loginKey: Bytes32, log: Logger): Door {
  const server = new Server({
    hostKeys: [sshPrivateFile(hostSeed)],
    banner: `${LOCAL_BACKEND_MARKER}\n`,
    algorithms: {
      kex: ["curve25519-sha256", "curve25519-sha256@libssh.org"],
      serverHostKey: ["ssh-ed25519"],
      cipher: ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"],
      compress: ["none"],
    },
  });
  server.maxConnections = LOCAL_CONNECTIONS_MAX;
  const door: Door = { server, clients: new Set(), open: true, serve: (client) => client.end() };
  server.on("connection", (client: Connection, from: ClientInfo) => {
    door.clients.add(client);
    client.on("error", (error: Error) => log.debug("connection-error", { error }));
    client.once("close", () => door.clients.delete(client));
    client.once("ready", () => door.serve(client, from));
    guard(client, door, loginKey);
  });
  return door;
}

function guard(client: Connection, door: Door, loginKey: Bytes32): void {
  let failures = 0;
  client.on("authentication", (attempt: AuthContext) => {
    if (door.open && mayEnter(attempt, loginKey)) return attempt.accept();
    failures += 1;
    attempt.reject(["publickey"]);
    if (failures >= LOCAL_AUTH_FAILURES_MAX) client.end();
  });
}

/** True also for a client that asks whether the key would do, without a signature (RFC 4252 section 7). */
function mayEnter(attempt: AuthContext, loginKey: Bytes32): boolean {
  if (attempt.method !== "publickey" || attempt.username !== TENANT_USER) return false;
  if (!equal(attempt.key.data, sshBlob(loginKey))) return false;
  if (attempt.signature === undefined) return true;
  const key = utils.parseKey(sshPublicLine(loginKey));
  if (key instanceof Error || attempt.blob === undefined) return false;
  return key.verify(attempt.blob, attempt.signature) === true;
}

/** One handover, whoever asks first. */
function serveHandover(client: Connection, options: ServerOptions, handOver: () => Bytes32): void {
  client.on("session", (acceptSession) => {
    const session = acceptSession();
    session.on("exec", (accept, reject, info) => {
      if (info.command !== HANDOVER_COMMAND) return reject();
      const channel = accept();
      readAll(channel)
        .then((message) => {
          const wanted = readKey("loginKey", message);
          if (!equal(wanted, options.loginKey)) {
            throw new BridgeError("wrong-key", "not the login key this machine was ordered for");
          }
          channel.write(writeKey("hostKey", handOver()));
          channel.exit(0);
        })
        .catch((error: unknown) => {
          options.log.warn("handover-refused", { error });
          channel.stderr.write(`${error instanceof Error ? error.message : "refused"}\n`);
          channel.exit(1);
        })
        .finally(() => {
          channel.once("close", () => client.end());
          channel.end();
        });
    });
  });
}

async function readAll(channel: ServerChannel): Promise<Uint8Array> {
  let all: Uint8Array = new Uint8Array(0);
  for await (const piece of channel.iterator({ destroyOnReturn: false })) {
    all = concat(all, piece as Uint8Array);
    if (all.length > HANDOVER_OUTPUT_BYTES_MAX) {
      throw new BridgeError("too-large", "the handover message is too long");
    }
  }
  return all;
}

/** The first free port of the range, or any. */
async function listen(tcp: TcpServer, ports: PortRange | null): Promise<number> {
  const { first, last } = ports ?? { first: 0, last: 0 };
  for (let port = first; port <= last; port += 1) {
    const failure = await new Promise<Error | undefined>((resolve) => {
      tcp.once("error", resolve);
      tcp.listen(port, "127.0.0.1", () => {
        tcp.off("error", resolve);
        resolve(undefined);
      });
    });
    if (failure === undefined) {
      const address = must(tcp.address(), "it listens");
      assert(typeof address === "object", "it listens on a port");
      return address.port;
    }
    if (errno(failure) !== "EADDRINUSE") throw failure;
  }
  throw new BridgeError("capacity", `no port from ${first} to ${last} is free`);
}
