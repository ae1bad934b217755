/**
 * Usage of the tenant's processes, measured from proc(5): everything that descends from the machine process, but
 * not that process itself. CPU time is what living processes used plus what ended ones left with those that waited
 * for them; the machine is a subreaper, so every end is waited for and shows up there. Memory is resident pages
 * integrated over time; pages that processes share count once in each. Network bytes are unknown: on a loopback
 * device nothing tells one tenant's bytes from another's.
 */
import type { Usage } from "../../backend.ts";
import { descendants, type Process, TICK_MS } from "./proc.ts";

const MIB = 1024 * 1024;

export interface Meter {
  /** Looks at the processes at a monotonic time. */
  sample(nowMs: number): void;
  usage(): Usage;
  /** The tenant's processes at the last sample. */
  tenant(): readonly Process[];
}

/** `list` returns all processes; `root` is the machine's pid. */
export function createMeter(
  root: number,
  list: () => readonly Process[],
  pageBytes: number,
  startMs: number,
): Meter {
  const before = list().find((process) => process.pid === root)?.reapedTicks ?? 0;
  let tenant: readonly Process[] = [];
  let lastMs = startMs;
  let residentMib = 0;
  let mibMs = 0;
  let seenTicks = 0;
  /** CPU time that was seen once and then waited for by nobody: its parent ignores SIGCHLD. */
  let lostTicks = 0;
  return {
    sample(nowMs) {
      const processes = list();
      tenant = descendants(processes, [root]);
      let ticks = tenantTicks(processes, tenant, root) - before;
      if (ticks < seenTicks) {
        // A process that ended between the look at its parent and at itself is in neither: look again.
        const again = list();
        ticks = Math.max(ticks, tenantTicks(again, descendants(again, [root]), root) - before);
      }
      lostTicks += Math.max(0, seenTicks - ticks);
      seenTicks = ticks;
      // Between two samples memory is taken to have changed evenly.
      const nowMib = tenant.reduce((sum, p) => sum + (p.residentPages * pageBytes) / MIB, 0);
      mibMs += ((residentMib + nowMib) / 2) * (nowMs - lastMs);
      residentMib = nowMib;
      lastMs = nowMs;
    },
    usage: () => ({
      cpuCoreMs: (seenTicks + lostTicks) * TICK_MS,
      ramMibSeconds: Math.round(mibMs / 1000),
      netBytes: null,
      basis: "measured",
    }),
    tenant: () => tenant,
  };
}

function tenantTicks(
  processes: readonly Process[],
  tenant: readonly Process[],
  root: number,
): number {
  const machine = processes.find((process) => process.pid === root);
  return tenant.reduce((sum, p) => sum + p.cpuTicks + p.reapedTicks, machine?.reapedTicks ?? 0);
}
