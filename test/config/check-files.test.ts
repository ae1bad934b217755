import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkProvider } from "../../src/config/check.ts";
import { loadProviderConfig, readConfigFile } from "../../src/config/load.ts";
import { codeThrownBy } from "../support/codes.ts";
import { needs } from "../support/skip.ts";
import { inFolder, PROVIDER, REGIONS, withLine } from "./support.ts";
import { at, check, readCoalition, SEED } from "./support-check.ts";

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
    expect(keyLine(write("hello", 0o600))?.message).toContain("does not hold 64");
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
    expect(at(broken, "coalition.file")).toMatchObject({ status: "fail" });
    expect(at(broken, "coalition.file")?.message).toStartWith("~/coalition.toml:1: is not TOML: ");
    const pinned = (pin: string) => check({ text: withLine("coalition", `pin = "${pin}"`) });
    expect(at(pinned("11".repeat(32)), "coalition.file")?.status).toBe("fail");
    const right = pinned("00".repeat(32)).find(({ path }) => path === "coalition.file");
    expect(right?.message).toBe("~/coalition.toml is valid and has the pinned fingerprint");
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
