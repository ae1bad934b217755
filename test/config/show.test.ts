import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { showJson, showToml } from "../../src/config/show.ts";
import { member, PROVIDER, provider, withLine } from "./support.ts";

const PLAIN = { origin: false };

describe("as TOML", () => {
  test("what is shown loads to the same configuration", () => {
    const text = `${withLine("backends.local", "portRange = [1, 2]")}
[network]
listen = ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/1"]
[limits]
spendPerDay = 999999999.999999
`;
    for (const options of [PLAIN, { origin: true }]) {
      const loaded = provider(text);
      expect(provider(showToml(loaded, options)).config).toEqual(loaded.config);
      const shown = showToml(member(), options);
      expect(member(shown).config).toEqual(member().config);
    }
  });

  test("also with text that needs escapes", () => {
    const awkward = provider(`${PROVIDER}[card]\nrelease = "\\u007f\\u0000\\t\\\\\\" #"\n`);
    expect(awkward.config.card.release).toBe('\x7f\0\t\\" #');
    expect(provider(showToml(awkward, PLAIN)).config).toEqual(awkward.config);
    fc.assert(
      fc.property(fc.string({ maxLength: 30, unit: "binary" }), (release) => {
        const text = `${PROVIDER}[card]\nrelease = ${JSON.stringify(release).replaceAll("\x7f", "\\u007f")}\n`;
        const loaded = provider(text);
        expect(loaded.config.card.release).toBe(release);
        expect(provider(showToml(loaded, { origin: true })).config).toEqual(loaded.config);
      }),
    );
  });

  test("with origins", () => {
    const lines = showToml(
      provider(PROVIDER, { env: { COMPUTE_BRIDGE_ADMIN_PORT: "1" }, flags: ["card.release=r1"] }),
      { origin: true },
    ).split("\n");
    for (const line of [
      "version = 1  # provider.toml:1",
      "[operator]",
      'key = "file:/etc/bridge/operator.key"  # provider.toml:6',
      'release = "r1"  # --set card.release',
      "port = 1  # env COMPUTE_BRIDGE_ADMIN_PORT",
      'spendPerDay = "50"  # default',
      "[backends.local]",
      'pricePerHour = "0.05"  # provider.toml:13',
    ]) {
      expect(lines).toContain(line);
    }
  });
});

describe("as JSON", () => {
  test("nested as in the file", () => {
    const shown = JSON.parse(showJson(provider(), PLAIN));
    expect(shown.operator).toEqual({ key: "file:/etc/bridge/operator.key" });
    expect(shown.backends.local.pricePerHour).toBe("0.05");
    expect(shown.network.listen).toEqual(["/ip4/0.0.0.0/tcp/4701"]);
  });

  test("with origins", () => {
    const shown = JSON.parse(showJson(provider(), { origin: true }));
    expect(shown.admin.port).toEqual({ value: 4780, origin: "default" });
    expect(shown.provider.name).toEqual({ value: "provider-1", origin: "provider.toml:3" });
  });
});

test("of a secret only the reference is shown", () => {
  const text = PROVIDER.replace("file:operator.key", "env:OPERATOR_SEED");
  const loaded = provider(text, { env: { OPERATOR_SEED: "5e".repeat(32) } });
  for (const shown of [
    showToml(loaded, { origin: true }),
    showJson(loaded, { origin: true }),
    JSON.stringify(loaded),
  ]) {
    expect(shown).not.toContain("5e5e");
  }
  expect(showToml(loaded, PLAIN)).toContain('key = "env:OPERATOR_SEED"');
});
