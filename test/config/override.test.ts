import { describe, expect, test } from "bun:test";
import { envName } from "../../src/config/layers.ts";
import { PROVIDER, problemLines, provider, refusal, withLine } from "./support.ts";

test.each([
  [["admin", "port"], "COMPUTE_BRIDGE_ADMIN_PORT"],
  [["limits", "spendPerDay"], "COMPUTE_BRIDGE_LIMITS_SPEND_PER_DAY"],
  [["provider", "stateDir"], "COMPUTE_BRIDGE_PROVIDER_STATE_DIR"],
  [
    ["backends", "my-box", "iUnderstandThereIsNoIsolation"],
    "COMPUTE_BRIDGE_BACKENDS_MY_BOX_I_UNDERSTAND_THERE_IS_NO_ISOLATION",
  ],
])("%j is overridden by %s", (path, name) => {
  expect(envName(path)).toBe(name);
});

test("no two settings share a variable", () => {
  const names = provider().settings.map(({ path }) => envName(path));
  expect(new Set(names).size).toBe(names.length);
});

describe("precedence", () => {
  const text = withLine("admin", "port = 1");
  const env = { COMPUTE_BRIDGE_ADMIN_PORT: "2" };
  const port = (options: object) => provider(text, options).config.admin.port;

  test("default, file, environment, flag", () => {
    expect(provider().config.admin.port).toBe(4780);
    expect(port({})).toBe(1);
    expect(port({ env })).toBe(2);
    expect(port({ env, flags: ["admin.port=3"] })).toBe(3);
    expect(port({ env, flags: ["admin.port=3", "admin.port=4"] })).toBe(4);
  });

  test("an override also stands in for what the file lacks or has wrong", () => {
    const lacking = PROVIDER.replace('name = "provider-1"\n', "");
    expect(provider(lacking, { flags: ["provider.name=p2"] }).config.provider.name).toBe("p2");
    const wrong = withLine("admin", 'port = "x"');
    expect(provider(wrong, { env }).config.admin.port).toBe(2);
  });
});

describe("every kind of value as text", () => {
  const set = (flag: string) => provider(PROVIDER, { flags: [flag] }).config;

  test("values", () => {
    expect(set("limits.killSwitch=true").limits.killSwitch).toBe(true);
    expect(set("limits.spendPerDay=0.25").limits.spendPerDayMicros).toBe(250_000);
    expect(set("log.level=debug").log.level).toBe("debug");
    expect(set("card.release=a=b").card.release).toBe("a=b");
    expect(set("card.release=").card.release).toBe("");
    expect(set("network.announce=/dns4/a.org/tcp/1, /dns4/b.org/tcp/2").network.announce).toEqual([
      "/dns4/a.org/tcp/1",
      "/dns4/b.org/tcp/2",
    ]);
    expect(set("network.announce=").network.announce).toEqual([]);
    expect(set("backends.local.portRange=5,6").backends[0]?.portRange).toEqual([5, 6]);
  });

  test("relative paths start at the working directory there, at the file's own directory in the file", () => {
    const { config } = provider(PROVIDER, {
      flags: ["provider.stateDir=here"],
      env: { COMPUTE_BRIDGE_OPERATOR_KEY: "file:k" },
    });
    expect(config.provider.stateDir).toBe("/home/operator/here");
    expect(config.operator.key).toEqual({ from: "file", path: "/home/operator/k" });
    expect(config.coalition.file).toBe("/etc/bridge/coalition.toml");
  });

  test("a backend can be added by flags alone", () => {
    const flags = Object.entries({
      kind: "local",
      iUnderstandThereIsNoIsolation: "true",
      regionClass: "any",
      pricePerHour: "2",
    }).map(([key, value]) => `backends.extra.${key}=${value}`);
    const env = { COMPUTE_BRIDGE_BACKENDS_EXTRA_MACHINES_MAX: "9" };
    const { backends } = provider(PROVIDER, { flags, env }).config;
    expect(backends.find(({ name }) => name === "extra")).toMatchObject({
      pricePerHourMicros: 2_000_000,
      machinesMax: 9,
    });
  });
});

describe("refused", () => {
  test("a wrong type names the variable or the flag, not the file", () => {
    const options = {
      env: { COMPUTE_BRIDGE_ADMIN_PORT: "abc", COMPUTE_BRIDGE_LIMITS_KILL_SWITCH: "yes" },
      flags: [
        "limits.grantsMax=1e3",
        "limits.spendPerDay=-1",
        "backends.local.portRange=1",
        "network.listen=",
      ],
    };
    expect(problemLines(() => provider(PROVIDER, options))).toEqual([
      'env COMPUTE_BRIDGE_LIMITS_KILL_SWITCH  limits.killSwitch  must be true or false, it is the text "yes" (for example false)',
      'env COMPUTE_BRIDGE_ADMIN_PORT  admin.port  must be a whole number from 0 to 65535, it is the text "abc" (for example 4780)',
      "--set network.listen  network.listen  must be a list of 1 to 16 addresses, it is an empty list (for example /ip4/0.0.0.0/tcp/4701)",
      '--set limits.grantsMax  limits.grantsMax  must be a whole number from 1 to 1000, it is the text "1e3" (for example 16)',
      '--set limits.spendPerDay  limits.spendPerDay  must be an amount such as 12.50; the text "-1" is negative (for example 50)',
      "--set backends.local.portRange  backends.local.portRange  must be a list of the lowest and the highest port, it is a list (for example 42000, 42099)",
    ]);
  });

  test("a misspelt variable or flag is not silently ignored", () => {
    const options = {
      env: { COMPUTE_BRIDGE_ADMIN_PROT: "1", COMPUTE_BRIDGE_ZZZ: "1", PATH: "/bin" },
      flags: ["admin.prot=1", "zzz.zzz=1", "limits=1", "version=1"],
    };
    expect(problemLines(() => provider(PROVIDER, options))).toEqual([
      "env COMPUTE_BRIDGE_ADMIN_PROT  overrides no known setting (did you mean COMPUTE_BRIDGE_ADMIN_PORT?)",
      "env COMPUTE_BRIDGE_ZZZ  overrides no known setting (unset it)",
      "--set admin.prot  admin.prot  is not a known key (did you mean --set admin.port=…?)",
      "--set zzz.zzz  zzz.zzz  is not a known key (see config show for all keys)",
      "--set limits  limits  is not a known key (see config show for all keys)",
      "--set version  version  is not a known key (see config show for all keys)",
    ]);
  });

  test("the format version is the file's alone", () => {
    const error = refusal(() => provider(PROVIDER, { env: { COMPUTE_BRIDGE_VERSION: "1" } }));
    expect(error.message).toContain("env COMPUTE_BRIDGE_VERSION  overrides no known setting");
  });

  test("a variable for a backend that nothing names", () => {
    const env = { COMPUTE_BRIDGE_BACKENDS_LOCLA_MACHINES_MAX: "1" };
    expect(problemLines(() => provider(PROVIDER, { env }))[0]).toContain(
      "did you mean COMPUTE_BRIDGE_BACKENDS_LOCAL_MACHINES_MAX?",
    );
  });

  test("a flag without a key is not repeated: it may be a secret", () => {
    const seed = "00".repeat(32);
    for (const flags of [[seed], [`=${seed}`], [""]]) {
      const { message } = refusal(() => provider(PROVIDER, { flags }));
      expect(message).toContain("--set …  has no section.key before a =");
      expect(message).not.toContain(seed);
    }
  });
});

test("variables that secrets refer to, or that belong to others, may carry the prefix", () => {
  const text = PROVIDER.replace("file:operator.key", "env:COMPUTE_BRIDGE_OPERATOR_SEED");
  const env = { COMPUTE_BRIDGE_OPERATOR_SEED: "x", COMPUTE_BRIDGE_CONFIG: "provider.toml" };
  const { config } = provider(text, { env, foreignEnv: ["COMPUTE_BRIDGE_CONFIG"] });
  expect(config.operator.key).toEqual({ from: "env", name: "COMPUTE_BRIDGE_OPERATOR_SEED" });
});
