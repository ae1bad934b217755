import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { BridgeError } from "../../src/base/errors.ts";
import { checkMember } from "../../src/config/check.ts";
import { loadMemberConfig, readConfigFile } from "../../src/config/load.ts";
import { inFolder, MEMBER, PROVIDER, withLine } from "./support.ts";
import { at, check, readCoalition, SEED } from "./support-check.ts";

describe("provider", () => {
  test("a sound configuration: every line is ok, in the order of the file", () => {
    const lines = check();
    expect(lines.map(({ status, path, message }) => `${status} ${path}: ${message}`)).toEqual([
      "ok : ~/provider.toml has 30 valid settings",
      "ok provider.stateDir: ~/state will be created with mode 0700",
      "ok operator.key: file:~/operator.key holds a seed",
      "ok coalition.file: ~/coalition.toml is valid",
      "ok network.listen: listens on /ip4/0.0.0.0/tcp/4701",
      "ok network.listen: peers will be told /ip4/8.8.8.8/tcp/4701",
      "ok limits.spendPerGrant: at most 10 for a grant and 50 a day",
      "ok backends.local: up to 4 machines at 0.05 an hour",
      "ok limits.durationMaxMs: a grant of 24 h on local costs 1.2",
    ]);
  });

  test("a file that does not load: one fail for each problem", () => {
    const lines = check({ text: PROVIDER.replace("provider-1", "a b").replace("0.05", "-1") });
    expect(lines).toEqual([
      {
        status: "fail",
        path: "provider.name",
        message: '~/provider.toml:3: the name "a b" contains a control character, white space or |',
        fix: "choose a name of letters, digits and - _ .",
      },
      {
        status: "fail",
        path: "backends.local.pricePerHour",
        message: "~/provider.toml:13: must be an amount such as 12.50; the number -1 is negative",
        fix: "for example pricePerHour = 0.05",
      },
    ]);
  });

  test("no backend", () => {
    const lines = check({ text: PROVIDER.slice(0, PROVIDER.indexOf("[backends")) });
    expect(at(lines, "backends")).toMatchObject({
      status: "fail",
      message: "no backend is configured",
    });
  });
});

describe("money and capacity", () => {
  const lineFor = (section: string, line: string, path: string) =>
    at(check({ text: withLine(section, line) }), path);

  test("a grant may not cost more than a day", () => {
    expect(lineFor("limits", 'spendPerGrant = "50.000001"', "limits.spendPerGrant")).toEqual({
      status: "fail",
      path: "limits.spendPerGrant",
      message: "50.000001 is more than spendPerDay 50, so it can never be spent",
      fix: "lower spendPerGrant to 50 or raise spendPerDay",
    });
    expect(lineFor("limits", "spendPerGrant = 50", "limits.spendPerGrant")).toBeUndefined();
  });

  test("the worst case of one grant, and advice that holds", () => {
    const dear = PROVIDER.replace("0.05", "0.7");
    expect(at(check({ text: dear }), "limits.durationMaxMs")).toEqual({
      status: "warn",
      path: "limits.durationMaxMs",
      message:
        "a grant of 24 h on local costs 16.8, more than spendPerGrant 10: such grants will be refused",
      fix: "lower durationMaxMs to 51428571 or raise spendPerGrant to 16.8",
    });
    for (const line of ["durationMaxMs = 51428571", "spendPerGrant = 16.8"]) {
      const text = `${dear}[limits]\n${line}\n`;
      expect(at(check({ text }), "limits.durationMaxMs")).toBeUndefined();
    }
    const text = `${dear}[limits]\ndurationMaxMs = 51428572\n`;
    expect(at(check({ text }), "limits.durationMaxMs")?.status).toBe("warn");
  });

  test("the dearest of several backends counts", () => {
    const other = PROVIDER.slice(PROVIDER.indexOf("[backends"))
      .replace("local]", "gold]")
      .replace("0.05", "1");
    const lines = check({ text: PROVIDER + other });
    expect(at(lines, "limits.durationMaxMs")?.message).toContain("on gold costs 24");
    const cheap = check({ text: PROVIDER.replace("0.05", "2") + other });
    expect(at(cheap, "limits.durationMaxMs")?.message).toContain("on local costs 48");
    expect(at(lines, "backends.local.priority")?.message).toBe(
      "is 10 like that of gold: their names decide who is asked first",
    );
  });

  test("what makes a provider sell nothing, or for nothing", () => {
    expect(lineFor("limits", "killSwitch = true", "limits.killSwitch")?.status).toBe("warn");
    expect(
      lineFor("limits", "remainingLifeMinMs = 86400000", "limits.remainingLifeMinMs")?.status,
    ).toBe("warn");
    const free = check({ text: PROVIDER.replace("0.05", "0") });
    expect(at(free, "backends.local.pricePerHour")?.status).toBe("warn");
  });

  test("fewer ports than machines", () => {
    const path = "backends.local.portRange";
    expect(lineFor("backends.local", "portRange = [5000, 5002]", path)?.message).toBe(
      "has 3 ports for 4 machines",
    );
    expect(lineFor("backends.local", "portRange = [5002, 5000]", path)?.message).toBe(
      "has 0 ports for 4 machines",
    );
    expect(lineFor("backends.local", "portRange = [5000, 5003]", path)).toBeUndefined();
  });
});

test("a node that nobody outside can dial is told so by its own host's addresses", () => {
  const lines = check({ options: { hostIps: ["127.0.0.1", "10.0.0.5"] } });
  expect(lines.find(({ message }) => message.includes("no peer outside can dial"))?.status).toBe(
    "warn",
  );
});

describe("member", () => {
  const memberLines = (arrange: (folder: string) => void, env = {}, refused = "") =>
    inFolder((folder) => {
      writeFileSync(join(folder, "member.toml"), MEMBER);
      writeFileSync(join(folder, "coalition.toml"), "version = 1\n");
      arrange(folder);
      const load = () => loadMemberConfig(readConfigFile(join(folder, "member.toml")));
      const judge = (name: string) => () => {
        if (name === refused) throw new BridgeError("config-invalid", `not this ${name}`);
      };
      const lines = checkMember(load, {
        env,
        readCoalition,
        hostIps: ["8.8.8.8"],
        memberChecks: {
          key: judge("key"),
          grantShare: judge("grantShare"),
          unsealShare: judge("unsealShare"),
        },
      });
      return lines.map(({ status, path, message }) =>
        message.startsWith("not this") ? `${status} ${path}: ${message}` : `${status} ${path}`,
      );
    });
  const secrets = (folder: string) => {
    writeFileSync(join(folder, "member.key"), SEED, { mode: 0o600 });
    writeFileSync(join(folder, "grant.share"), SEED, { mode: 0o600 });
  };
  const names = ["member.key", "member.grantShare", "member.unsealShare"];
  const ok = (...paths: string[]) => paths.map((path) => `ok ${path}`);
  const network = ok("network.listen", "network.listen");

  test("its three secrets, directory, coalition and addresses", () => {
    expect(memberLines(secrets, { UNSEAL_SHARE: SEED })).toEqual([
      ...ok("", "member.stateDir", ...names, "coalition.file", ...names),
      ...network,
    ]);
    expect(memberLines(() => {})).toEqual([
      ...ok("", "member.stateDir"),
      ...names.map((path) => `fail ${path}`),
      ...ok("coalition.file"),
      ...network,
    ]);
  });

  test("a share that is no 64 hex characters", () => {
    const lines = memberLines(secrets, { UNSEAL_SHARE: "share" });
    expect(lines).toContain("fail member.unsealShare");
    expect(lines).toContain("ok member.grantShare");
  });

  test("what the program would refuse at its start", () => {
    for (const name of ["key", "grantShare", "unsealShare"]) {
      const lines = memberLines(secrets, { UNSEAL_SHARE: SEED }, name);
      expect(lines.filter((line) => line.startsWith("fail"))).toEqual([
        `fail member.${name}: not this ${name}`,
      ]);
    }
  });
});
