/** Facts of a provider that serves, and single changes to them. */
import type { BackendFacts, Facts } from "../../src/admin/facts.ts";

export interface FactChanges {
  readonly members?: Facts["coalition"]["members"];
  readonly journalFault?: Facts["journalFault"];
  readonly backends?: Facts["backends"];
  /** Of the one backend. */
  readonly backendOk?: boolean | undefined;
  /** A second backend, which fails. */
  readonly alsoFailing?: boolean;
  readonly card?: Facts["card"];
  readonly killSwitch?: boolean;
  readonly standing?: Facts["provider"]["standing"];
  readonly evidence?: Facts["evidence"];
}

export function backendFactsOf(name: string, ok: boolean | undefined): BackendFacts {
  return {
    name,
    ok,
    lastOkMs: undefined,
    error: ok === false ? "auth" : undefined,
    offers: 0,
    free: 0,
    machines: { starting: 0, running: 0, ending: 0 },
    blocked: [],
  };
}

export function sampleFacts(changes: FactChanges = {}): Facts {
  const ok = "backendOk" in changes ? changes.backendOk : true;
  const backends = [
    backendFactsOf("metal", ok),
    ...(changes.alsoFailing === true ? [backendFactsOf("gcp", false)] : []),
  ];
  return {
    provider: {
      idPrefix: "0123456789ab",
      name: "provider-a",
      standing: changes.standing ?? "serving",
      status: "serving",
      endorsedUntilMs: 1e12,
      startedMs: 1e12,
      killSwitch: changes.killSwitch ?? false,
    },
    card: changes.card ?? { publishedMs: 1e12, current: true },
    coalition: {
      name: "coalition",
      fingerprint: "ab".repeat(32),
      computeModule: "cd".repeat(32),
      tick: 7,
      members: changes.members ?? { connected: 3, total: 3, needed: 2 },
      peers: 3,
      recordRefusals: new Map(),
    },
    grants: {
      active: 0,
      cap: 4,
      byState: new Map(),
      repliesPending: 0,
      cpuMillicores: 0,
      ramMib: 0,
      overrunMs: 0,
    },
    backends: changes.backends ?? backends,
    money: {
      currency: "EUR",
      todayMicros: 0,
      reservedMicros: 0,
      capPerDayMicros: 1,
      capPerGrantMicros: 1,
    },
    journalFault: changes.journalFault,
    orphans: { seen: 0, ended: 0 },
    evidence: changes.evidence ?? { required: false, state: "none", code: "no-evidence" },
    totals: new Map(),
    events: [],
  };
}
