/** What every measure needs around it: a folder, a coalition of three that agree by two, its members in processes. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Ceremony, runCeremony } from "../../src/coalition/ceremony.ts";
import { writeCeremony } from "../../src/coalition/ceremony-files.ts";
import type { Coalition } from "../../src/coalition/config.ts";
import { withPeerId } from "../../src/network/identity.ts";
import { freePorts } from "../support/ports.ts";
import type { MemberCalls } from "./member-worker.ts";
import { type Calls, startWorker, type Worker } from "./worker.ts";

const MEMBERS = 3;
const THRESHOLD = 2;
const TICK_MS = 1000;

export interface World {
  readonly coalition: Coalition;
  readonly ceremony: Ceremony;
  readonly coalitionFile: string;
  readonly members: readonly Worker<MemberCalls>[];
  /** A new folder. */
  folder(name: string): string;
  /** A process that ends with this world. */
  worker<C extends Calls>(script: string): Worker<C>;
}

/** Runs `act` in a world of its own and takes the world down afterwards, whatever happens. */
export async function inWorld<T>(act: (world: World) => Promise<T>, tickMs = TICK_MS): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), "compute-bridge-bench-"));
  const workers: { end(): Promise<void> }[] = [];
  const worker = <C extends Calls>(script: string): Worker<C> => {
    const started = startWorker<C>(script);
    workers.push(started);
    return started;
  };
  try {
    const ports = await freePorts(MEMBERS);
    const address = (index: number): string => `/ip4/127.0.0.1/tcp/${ports[index - 1]}`;
    const ceremony = runCeremony({
      ...{ name: "bench", members: MEMBERS, threshold: THRESHOLD, currency: "EUR" },
      ...{ tickMs, address, withPeerId },
    });
    const coalitionDir = join(root, "coalition");
    writeCeremony(coalitionDir, ceremony, (index) => ({ listen: address(index) }));
    const members = ceremony.secrets.map(() => worker<MemberCalls>("member-worker.ts"));
    await Promise.all(
      members.map((member, i) =>
        member.call("start", {
          configFile: join(coalitionDir, `member-${i + 1}`, "member.toml"),
        }),
      ),
    );
    return await act({
      coalition: ceremony.coalition,
      ceremony,
      coalitionFile: join(coalitionDir, "coalition.toml"),
      members,
      folder(name) {
        const folder = join(root, name);
        mkdirSync(folder, { mode: 0o700 });
        return folder;
      },
      worker,
    });
  } finally {
    await Promise.all(workers.map((one) => one.end()));
    rmSync(root, { recursive: true, force: true });
  }
}
