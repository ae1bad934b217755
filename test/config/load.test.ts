import { describe, expect, test } from "bun:test";
import { GRANT_LIFE_MAX_MS } from "../../src/base/limits.ts";
import { DURATION_MAX_MS, REGION_CLASSES, ShapeSchema } from "../../src/coalition/classes.ts";
import { loadProviderConfig } from "../../src/config/load.ts";
import { originText } from "../../src/config/problem.ts";
import { localBackendSchema } from "../../src/config/schema.ts";
import { MEMBER, member, PROVIDER, provider, withLine } from "./support.ts";

const LOCAL = {
  name: "local",
  kind: "local",
  priority: 10,
  iUnderstandThereIsNoIsolation: true,
  region: "local",
  regionClass: "europe",
  machinesMax: 4,
  cpuMillicores: 1000,
  ramMib: 1024,
  storageGib: 8,
  pricePerHourMicros: 50_000,
} as const;

describe("provider", () => {
  test("the smallest file gives the documented defaults", () => {
    expect(provider().config).toEqual({
      version: 1,
      provider: { name: "provider-1", stateDir: "/etc/bridge/state" },
      operator: { key: { from: "file", path: "/etc/bridge/operator.key" } },
      coalition: { file: "/etc/bridge/coalition.toml" },
      network: { listen: ["/ip4/0.0.0.0/tcp/4701"], announce: [] },
      limits: {
        grantsMax: 16,
        spendPerDayMicros: 50_000_000,
        spendPerGrantMicros: 10_000_000,
        durationMaxMs: 86_400_000,
        remainingLifeMinMs: 60_000,
        killSwitch: false,
      },
      card: { refreshMs: 30_000, release: "" },
      drain: { waitMs: 600_000 },
      log: { level: "info", intervalMs: 120_000 },
      admin: { port: 4780 },
      reconcile: { intervalMs: 60_000 },
      backends: [LOCAL],
    });
  });

  test("every key can be set", () => {
    const pin = "ab".repeat(32);
    const { config, settings } = provider(`version = 1
provider = { name = "café", stateDir = "/var/lib/bridge" }
operator.key = "env:OPERATOR_KEY"
coalition = { file = "/c.toml", pin = "${pin}" }
[network]
listen = ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/4701/"]
announce = ["/dns4/p.example.org/tcp/4701"]
[limits]
grantsMax = 2
spendPerDay = "1000000000"
spendPerGrant = 1_000.500
durationMaxMs = 3600000
remainingLifeMinMs = 0
killSwitch = true
[card]
refreshMs = 1000
release = "r1"
[drain]
waitMs = 0
[log]
level = "debug"
intervalMs = 5000
[admin]
port = 0
[reconcile]
intervalMs = 2000
[backends.dev]
kind = "local"
priority = 3
iUnderstandThereIsNoIsolation = true
region = "lab"
regionClass = "asia"
machinesMax = 1
cpuMillicores = 250
ramMib = 256
storageGib = 0
pricePerHour = "0.000001"
portRange = [42000, 42099]
`);
    expect(config.operator.key).toEqual({ from: "env", name: "OPERATOR_KEY" });
    expect(config.coalition.pin).toBe(pin);
    expect(config.network.listen).toEqual(["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/4701"]);
    expect(config.limits.spendPerDayMicros).toBe(1e15);
    expect(config.limits.spendPerGrantMicros).toBe(1_000_500_000);
    expect(config.limits.killSwitch).toBe(true);
    expect(config.backends[0]).toMatchObject({
      name: "dev",
      priority: 3,
      pricePerHourMicros: 1,
      portRange: [42_000, 42_099],
    });
    expect(settings.filter(({ origin }) => origin.from === "default")).toEqual([]);
    expect(settings.map(({ path }) => path.join("."))).toHaveLength(32);
  });

  test("money never passes through a float", () => {
    const day = (line: string) =>
      provider(withLine("limits", line)).config.limits.spendPerDayMicros;
    expect(day("spendPerDay = 0.1")).toBe(100_000);
    expect(day("spendPerDay = 4.35")).toBe(4_350_000);
    expect(day("spendPerDay = 999999999.999999")).toBe(999_999_999_999_999);
    expect(day('spendPerDay = "999999999.999999"')).toBe(999_999_999_999_999);
  });

  test("backends come by priority, then by name, and may be none", () => {
    const more = (name: string, priority: number) =>
      `[backends.${name}]\nkind="local"\niUnderstandThereIsNoIsolation=true\nregionClass="any"\npricePerHour=1\npriority=${priority}\n`;
    const text = PROVIDER + more("b", 20) + more("z-1", 5) + more("a", 20);
    expect(provider(text).config.backends.map(({ name }) => name)).toEqual([
      "z-1",
      "local",
      "a",
      "b",
    ]);
    const none = PROVIDER.slice(0, PROVIDER.indexOf("[backends"));
    expect(provider(none).config.backends).toEqual([]);
    expect(provider(`${none}[backends]\n`).config.backends).toEqual([]);
  });

  test("every value has an origin", () => {
    const { settings } = provider(PROVIDER, {
      env: { COMPUTE_BRIDGE_LIMITS_GRANTS_MAX: "3" },
      flags: ["admin.port=0"],
    });
    const origin = (key: string) => {
      const found = settings.find(({ path }) => path.join(".") === key);
      return found === undefined ? undefined : originText(found.origin);
    };
    expect(origin("provider.stateDir")).toBe("provider.toml:4");
    expect(origin("backends.local.pricePerHour")).toBe("provider.toml:13");
    expect(origin("limits.grantsMax")).toBe("env COMPUTE_BRIDGE_LIMITS_GRANTS_MAX");
    expect(origin("admin.port")).toBe("--set admin.port");
    expect(origin("card.refreshMs")).toBe("default");
    expect(origin("coalition.pin")).toBeUndefined();
  });

  test("the caller's region classes are the only ones, and the type of the result", () => {
    const source = { name: "p.toml", directory: "/", text: PROVIDER };
    const { config } = loadProviderConfig(source, { regionClasses: REGION_CLASSES });
    const region: (typeof REGION_CLASSES)[number] | undefined = config.backends[0]?.regionClass;
    expect(region).toBe("europe");
  });

  test("bounds that the Compute module also has are the same", () => {
    const { properties } = localBackendSchema(["any"]);
    for (const key of ["cpuMillicores", "ramMib", "storageGib"] as const) {
      expect(properties[key].maximum).toBe(ShapeSchema.properties[key].maximum ?? -1);
    }
    expect(GRANT_LIFE_MAX_MS).toBe(DURATION_MAX_MS);
  });
});

describe("member", () => {
  test("the smallest file", () => {
    expect(member().config).toEqual({
      version: 1,
      member: {
        index: 2,
        stateDir: "/etc/bridge/state",
        key: { from: "file", path: "/etc/bridge/member.key" },
        grantShare: { from: "file", path: "/etc/bridge/grant.share" },
        unsealShare: { from: "env", name: "UNSEAL_SHARE" },
      },
      coalition: { file: "/etc/bridge/coalition.toml" },
      network: { listen: ["/ip4/0.0.0.0/tcp/4701"], announce: [] },
      log: { level: "info" },
    });
  });

  test("variables of both kinds can stand in one environment", () => {
    const env = {
      COMPUTE_BRIDGE_MEMBER_INDEX: "3",
      COMPUTE_BRIDGE_ADMIN_PORT: "0",
      COMPUTE_BRIDGE_BACKENDS_LOCAL_MACHINES_MAX: "2",
      COMPUTE_BRIDGE_LOG_LEVEL: "warn",
    };
    expect(member(MEMBER, { env }).config.member.index).toBe(3);
    expect(provider(PROVIDER, { env }).config).toMatchObject({
      admin: { port: 0 },
      log: { level: "warn" },
      backends: [{ machinesMax: 2 }],
    });
  });
});
