/** What the tenant finds on the machine: a folder, an environment, `poweroff`, and how programs are started. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../base/clock.ts";
import type { Logger } from "../../../base/log.ts";
import type { Launcher } from "./limits.ts";
import { FILES } from "./records.ts";

export const TENANT_USER = "tenant";

/** In the environment of every program we start, so that the backend finds what outlives a dead machine. */
export const MACHINE_VARIABLE = "COMPUTE_BRIDGE_MACHINE";

export interface Tenant {
  readonly home: string;
  readonly shell: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Processes the runtime itself waits for; every other child of ours we reap. */
  readonly children: Set<number>;
  /** Shells and commands running now. */
  sessions: number;
  readonly launcher: Launcher;
}

export function createTenant(
  folder: string,
  launcher: Launcher,
  clock: Clock,
  log: Logger,
): Tenant {
  const home = join(folder, FILES.home);
  const bin = join(folder, FILES.bin);
  const temporary = join(home, "tmp");
  mkdirSync(temporary, { mode: 0o700, recursive: true });
  mkdirSync(bin, { mode: 0o700, recursive: true });
  writeFileSync(join(bin, "poweroff"), `#!/bin/sh\nkill -TERM ${process.pid}\n`, { mode: 0o700 });
  const shell = existsSync("/bin/bash") ? "/bin/bash" : "/bin/sh";
  return {
    home,
    shell,
    environment: {
      HOME: home,
      PATH: `${bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
      USER: TENANT_USER,
      LOGNAME: TENANT_USER,
      SHELL: shell,
      LANG: "C.UTF-8",
      TMPDIR: temporary,
      [MACHINE_VARIABLE]: folder,
    },
    clock,
    log,
    children: new Set(),
    sessions: 0,
    launcher,
  };
}

/** Deletes what the tenant had. False when something could not be deleted. */
export function removeTenant(folder: string): boolean {
  const paths = [join(folder, FILES.home), join(folder, FILES.bin)];
  const remove = (): void => {
    for (const path of paths) rmSync(path, { recursive: true, force: true });
  };
  try {
    remove();
    return true;
  } catch {
    // A folder the tenant took our rights to, as build tools do with their caches.
    Bun.spawnSync(["/bin/chmod", "-R", "u+rwX", ...paths.filter(existsSync)]);
  }
  try {
    remove();
    return true;
  } catch {
    return false;
  }
}

/** Keeps a started program out of the hands of the reaper until the runtime has seen its end. */
export function adopt(tenant: Tenant, child: Bun.Subprocess): void {
  tenant.children.add(child.pid);
  void child.exited.finally(() => tenant.children.delete(child.pid));
}
