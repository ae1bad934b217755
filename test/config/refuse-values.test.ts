import { describe, expect, test } from "bun:test";
import { PROVIDER, provider, refusal, withLine } from "./support.ts";

const SEED = "5ec7e75ec7e75ec7".repeat(4);

describe("values", () => {
  const messageFor = (section: string, line: string) => {
    const { problems } = refusal(() => provider(withLine(section, line)));
    expect(problems).toHaveLength(1);
    return problems[0]?.message;
  };

  test.each([
    ["limits", "grantsMax = nan", "must be a whole number from 1 to 1000, it is the number nan"],
    ["limits", "grantsMax = inf", "must be a whole number from 1 to 1000, it is the number inf"],
    ["limits", "grantsMax = -1", "must be a whole number from 1 to 1000, it is the number -1"],
    ["limits", "grantsMax = 1.5", "must be a whole number from 1 to 1000, it is the number 1.5"],
    ["limits", "grantsMax = true", "must be a whole number from 1 to 1000, it is true"],
    ["limits", "grantsMax = [1]", "must be a whole number from 1 to 1000, it is a list"],
    ["limits", "grantsMax = {}", "must be a whole number from 1 to 1000, it is a table"],
    [
      "limits",
      "grantsMax = 2024-01-01",
      "must be a whole number from 1 to 1000, it is the date 2024-01-01",
    ],
    [
      "limits",
      "durationMaxMs = 99999999999999999999",
      "must be a whole number from 60000 to 604800000, it is the number 99999999999999999999",
    ],
    [
      "limits",
      "spendPerDay = nan",
      "must be an amount such as 12.50; the number nan is not a plain decimal such as 12.5",
    ],
    [
      "limits",
      "spendPerDay = -inf",
      "must be an amount such as 12.50; the number -inf is negative",
    ],
    [
      "limits",
      "spendPerDay = -0.0",
      "must be an amount such as 12.50; the number -0.0 is negative",
    ],
    [
      "limits",
      "spendPerDay = 1e3",
      "must be an amount such as 12.50; the number 1e3 is not a plain decimal such as 12.5",
    ],
    [
      "limits",
      "spendPerDay = 0x10",
      "must be an amount such as 12.50; the number 0x10 is not a plain decimal such as 12.5",
    ],
    [
      "limits",
      "spendPerDay = 0.1234567",
      "must be an amount such as 12.50; the number 0.1234567 has more than 6 decimals",
    ],
    [
      "limits",
      "spendPerDay = 1000000001",
      "must be an amount such as 12.50; the number 1000000001 is above 1000000000",
    ],
    [
      "limits",
      "spendPerDay = 07:32:00",
      "must be an amount such as 12.50, it is the date 07:32:00",
    ],
    ["limits", 'killSwitch = "false"', 'must be true or false, it is the text "false"'],
    [
      "card",
      "release = 2024-01-01T00:00:00Z",
      "must be text of at most 64 characters, it is the date 2024-01-01T00:00:00Z",
    ],
    [
      "card",
      `release = "${"x".repeat(65)}"`,
      `must be text of at most 64 characters, it is the text "${"x".repeat(60)}…"`,
    ],
    ["log", 'level = "INFO"', 'must be one of debug, info, warn, error, it is the text "INFO"'],
    ["admin", "port = 65536", "must be a whole number from 0 to 65535, it is the number 65536"],
    [
      "coalition",
      `pin = "${"AB".repeat(32)}"`,
      `must be 64 lower-case hex characters, it is the text "${"AB".repeat(30)}…"`,
    ],
    ["network", "listen = []", "must be a list of 1 to 16 addresses, it is an empty list"],
    [
      "network",
      'listen = "/ip4/1.2.3.4/tcp/1"',
      'must be a list of 1 to 16 addresses, it is the text "/ip4/1.2.3.4/tcp/1"',
    ],
    ["network", "announce = [7]", "holds the number 7, not an address"],
    [
      "network",
      'announce = ["/ip4/0.0.0.0/tcp/1"]',
      'cannot use "/ip4/0.0.0.0/tcp/1": a wildcard says nothing to a peer',
    ],
    [
      "network",
      'listen = ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/"]',
      "names /ip4/127.0.0.1/tcp/1 twice",
    ],
    [
      "backends.local",
      "portRange = [1, 2, 3]",
      "must be a list of the lowest and the highest port, it is a list",
    ],
    [
      "backends.local",
      "portRange = [0, 2]",
      "must be a list of the lowest and the highest port, it is a list",
    ],
    [
      "backends.local",
      'region = "a|b"',
      'the name "a|b" contains a control character, white space or |',
    ],
    ["backends.local", 'region = ""', "must be a name of at most 64 bytes, it is empty"],
  ])("[%s] %s", (section, line, message) => {
    expect(messageFor(section, line)).toBe(message);
  });

  test("paths", () => {
    for (const [value, found] of [
      ["''", "empty"],
      ["1979-05-27", "the date 1979-05-27"],
      ['"a\\u0000b"', 'the text "a\\u0000b"'],
    ]) {
      const text = PROVIDER.replace('"state"', value ?? "");
      expect(refusal(() => provider(text)).problems[0]?.message).toBe(
        `must be a path, it is ${found}`,
      );
    }
  });

  test("an entry of a list over several lines is reported at its own line", () => {
    const text = withLine("network", 'listen = [\n  "/ip4/127.0.0.1/tcp/1",\n\n  "nonsense",\n]');
    const { problems } = refusal(() => provider(text));
    const line = text.split("\n").indexOf('  "nonsense",') + 1;
    expect(problems).toMatchObject([{ path: "network.listen", line }]);
  });
});

describe("secrets in the file", () => {
  test.each([
    `"${SEED}"`,
    "'''\n5ec7e75ec7e7'''",
    "5000000",
    `["${SEED}"]`,
    `{ hex = "${SEED}" }`,
    '""',
    '"./operator.key"',
  ])("%j is refused with an explanation, and never repeated", (value) => {
    const text = PROVIDER.replace('"file:operator.key"', value);
    const { problems, message } = refusal(() => provider(text));
    expect(problems).toMatchObject([{ path: "operator.key", line: 6 }]);
    expect(problems[0]?.message).toMatch(
      /^must (refer to a secret, not contain it|be a reference to a secret)/,
    );
    expect(problems[0]?.fix).toContain('write "file:PATH" here; or write "env:NAME"');
    expect(message).not.toContain("5ec7e7");
    expect(message).not.toContain("5000000");
  });

  test("from a variable or a flag neither", () => {
    const options = { env: { COMPUTE_BRIDGE_OPERATOR_KEY: SEED } };
    expect(refusal(() => provider(PROVIDER, options)).message).not.toContain(SEED);
    const flags = [`operator.key=${SEED}`];
    expect(refusal(() => provider(PROVIDER, { flags })).message).not.toContain(SEED);
  });
});
