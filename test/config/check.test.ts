import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BridgeError } from "../../src/base/errors.ts";
import {
  type CheckLine,
  type CheckOptions,
  checkMember,
  checkProvider,
} from "../../src/config/check.ts";
import { loadMemberConfig, loadProviderConfig, readConfigFile } from "../../src/config/load.ts";
import { parseToml } from "../../src/config/toml.ts";
import { codeThrownBy } from "../support/codes.ts";
import { needs } from "../support/skip.ts";
import { inFolder, MEMBER, PROVIDER, REGIONS, withLine } from "./support.ts";

const SEED = "5e".repeat(32);

/** What `readCoalition` is in the program, as far as this area needs it: a file that must parse and match a pin. */
function readCoalition(path: string, pin?: string): void {
  const source = readConfigFile(path);
  parseToml(source.text, path);
  if (pin !== undefined && pin !== "00".repeat(32)) {
    throw new BridgeError("config-invalid", `${path} has another fingerprint than the pinned one`);
  }
}

interface Setup {
  readonly text?: string;
  readonly options?: Partial<CheckOptions>;
  readonly arrange?: (folder: string) => void;
}

/** Checks a provider file in a folder of its own that holds what the file refers to. */
function check({ text = PROVIDER, options, arrange }: Setup = {}): CheckLine[] {
  return inFolder((folder) => {
    writeFileSync(join(folder, "operator.key"), `${SEED}\n`, { mode: 0o600 });
    writeFileSync(join(folder, "coalition.toml"), "version = 1\n");
    writeFileSync(join(folder, "provider.toml"), text);
    arrange?.(folder);
    const load = () =>
      loadProviderConfig(readConfigFile(join(folder, "provider.toml")), { regionClasses: REGIONS });
    const lines = checkProvider(load, {
      env: {},
      readCoalition,
      hostIps: ["127.0.0.1", "8.8.8.8"],
      ...options,
    });
    const shown = JSON.stringify(lines).replaceAll(folder, "~");
    expect(shown).not.toContain(SEED);
    return JSON.parse(shown);
  });
}

function at(lines: readonly CheckLine[], path: string): CheckLine | undefined {
  return lines.find((line) => line.path === path && line.status !== "ok");
}

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

describe("the secret", () => {
  const keyLine = (arrange: (folder: string) => void) => at(check({ arrange }), "operator.key");
  const write = (content: string, mode: number) => (folder: string) => {
    writeFileSync(join(folder, "operator.key"), content);
    chmodSync(join(folder, "operator.key"), mode);
  };

  test("too open, empty, no seed, missing", () => {
    expect(keyLine(write(SEED, 0o644))).toEqual({
      status: "fail",
      path: "operator.key",
      message: "file:~/operator.key has mode 0644: others than its owner can read or change it",
      fix: "chmod 600 ~/operator.key",
    });
    expect(keyLine(write("", 0o600))?.message).toBe("file:~/operator.key is empty");
    expect(keyLine(write("hello", 0o600))?.message).toContain("is not a seed of 64");
    const missing = check({ text: PROVIDER.replace("operator.key", "other.key") });
    expect(at(missing, "operator.key")?.message).toBe("file:~/other.key does not exist");
  });

  test("in a variable", () => {
    const text = PROVIDER.replace("file:operator.key", "env:OPERATOR_SEED");
    expect(at(check({ text }), "operator.key")?.message).toBe("env:OPERATOR_SEED is not set");
    expect(
      at(check({ text, options: { env: { OPERATOR_SEED: SEED } } }), "operator.key"),
    ).toBeUndefined();
  });
});

describe("the state directory", () => {
  const stateLine = (arrange: (folder: string) => void) =>
    check({ arrange }).find(({ path }) => path === "provider.stateDir");

  test("exists with a fitting mode, and nothing is left in it", () => {
    const line = stateLine((folder) => mkdirSync(join(folder, "state"), { mode: 0o700 }));
    expect(line).toMatchObject({ status: "ok", message: "~/state can be written" });
    inFolder((folder) => {
      const text = PROVIDER.replace('"state"', '"deep/er/state"');
      writeFileSync(join(folder, "p.toml"), text);
      const load = () =>
        loadProviderConfig(readConfigFile(join(folder, "p.toml")), { regionClasses: REGIONS });
      checkProvider(load, { env: {}, readCoalition });
      expect(readdirSync(folder)).toEqual(["p.toml"]);
    });
  });

  test.each([0o755, 0o704, 0o701])("mode %o lets everybody in", (mode) => {
    const line = stateLine((folder) => {
      mkdirSync(join(folder, "state"));
      chmodSync(join(folder, "state"), mode);
    });
    expect(line).toMatchObject({ status: "fail", fix: "chmod 700 ~/state" });
    expect(line?.message).toContain(`has mode 0${mode.toString(8)}`);
  });

  test("is a file, lies under a file, or is a dangling link", () => {
    expect(stateLine((folder) => writeFileSync(join(folder, "state"), ""))).toMatchObject({
      status: "fail",
      message: "~/state is not a directory",
    });
    const below = check({
      text: PROVIDER.replace('"state"', '"file/state"'),
      arrange: (folder) => writeFileSync(join(folder, "file"), ""),
    });
    expect(at(below, "provider.stateDir")).toMatchObject({ status: "fail" });
    expect(
      stateLine((folder) => symlinkSync("/nonexistent/x", join(folder, "state"))),
    ).toMatchObject({
      status: "fail",
    });
  });

  test("where nothing can be created, for root too", () => {
    const lines = check({ text: PROVIDER.replace('"state"', '"/proc/bridge/state"') });
    expect(at(lines, "provider.stateDir")).toMatchObject({ status: "fail" });
    expect(at(lines, "provider.stateDir")?.message).toStartWith("/proc cannot be written");
  });
});

describe("the coalition file", () => {
  test("missing, broken, wrongly pinned, rightly pinned", () => {
    const missing = check({ text: PROVIDER.replace("coalition.toml", "none.toml") });
    expect(at(missing, "coalition.file")).toMatchObject({
      status: "fail",
      message: "~/none.toml does not exist",
    });
    const broken = check({
      arrange: (folder) => writeFileSync(join(folder, "coalition.toml"), "a = "),
    });
    expect(broken.find(({ message }) => message.includes("coalition.toml:1"))?.status).toBe("fail");
    const pinned = (pin: string) => check({ text: withLine("coalition", `pin = "${pin}"`) });
    expect(at(pinned("11".repeat(32)), "coalition.file")?.status).toBe("fail");
    const right = pinned("00".repeat(32)).find(({ path }) => path === "coalition.file");
    expect(right?.message).toBe("~/coalition.toml is valid and has the pinned fingerprint");
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
  const memberLines = (arrange: (folder: string) => void, env = {}) =>
    inFolder((folder) => {
      writeFileSync(join(folder, "member.toml"), MEMBER);
      writeFileSync(join(folder, "coalition.toml"), "version = 1\n");
      arrange(folder);
      const load = () => loadMemberConfig(readConfigFile(join(folder, "member.toml")));
      const lines = checkMember(load, { env, readCoalition, hostIps: ["8.8.8.8"] });
      return lines.map(({ status, path }) => `${status} ${path}`);
    });

  test("its three secrets, directory, coalition and addresses", () => {
    const arrange = (folder: string) => {
      writeFileSync(join(folder, "member.key"), SEED, { mode: 0o600 });
      writeFileSync(join(folder, "grant.share"), "share", { mode: 0o600 });
    };
    const ok = ["", "member.stateDir", "member.key", "member.grantShare", "member.unsealShare"].map(
      (path) => `ok ${path}`,
    );
    const rest = ["ok coalition.file", "ok network.listen", "ok network.listen"];
    expect(memberLines(arrange, { UNSEAL_SHARE: "x" })).toEqual([...ok, ...rest]);
    expect(memberLines(() => {})).toEqual([
      "ok ",
      "ok member.stateDir",
      "fail member.key",
      "fail member.grantShare",
      "fail member.unsealShare",
      ...rest,
    ]);
  });
});

describe("the file itself", () => {
  test("missing, a directory, under a file", () => {
    inFolder((folder) => {
      for (const name of ["none.toml", "", "f/none.toml"]) {
        writeFileSync(join(folder, "f"), "");
        expect(codeThrownBy(() => readConfigFile(join(folder, name)))).toBe("config-unreadable");
      }
    });
  });

  test("10 MB are refused without being read whole", () => {
    inFolder((folder) => {
      const path = join(folder, "big.toml");
      writeFileSync(path, Buffer.alloc(10_000_000, "a"));
      expect(codeThrownBy(() => readConfigFile(path))).toBe("config-unreadable");
      expect(statSync(path).size).toBe(10_000_000);
    });
  });

  // Root reads everything, so the refusal is asked for under another user.
  const isRoot = process.getuid?.() === 0;
  const { seteuid } = process;
  const asOther = needs("a runtime with seteuid", isRoot ? seteuid : () => {});
  if (asOther !== undefined) {
    test("not readable by this user", () => {
      inFolder((folder) => {
        chmodSync(folder, 0o755);
        const path = join(folder, "p.toml");
        writeFileSync(path, PROVIDER);
        chmodSync(path, 0o000);
        asOther(65_534);
        try {
          expect(() => readConfigFile(path)).toThrow("may not be accessed by this user");
        } finally {
          asOther(0);
        }
      });
    });
  }
});
