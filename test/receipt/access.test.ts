/** The files a receipt becomes, as OpenSSH itself reads them. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { signingKey } from "../../src/base/ed25519.ts";
import { sshFingerprint, sshPrivateFile, sshPublicLine } from "../../src/base/ssh-keys.ts";
import { HOST_ALIAS, writeAccess } from "../../src/receipt/access.ts";
import type { SshAccessReceipt } from "../../src/receipt/receipt.ts";
import { keyNamed, seedNamed } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";
import { needs } from "../support/skip.ts";

const root = mkdtempSync(join(tmpdir(), "compute-bridge-access-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

function folder(name = "out"): string {
  folders += 1;
  const path = join(root, `${folders}`, name);
  mkdirSync(path, { recursive: true });
  return path;
}

const loginSeed = seedNamed("login");
const hostKey = keyNamed("host").publicKey;
const receipt: SshAccessReceipt = {
  v: 1,
  kind: "receipt",
  instanceHost: "203.0.113.7",
  instancePort: 2222,
  user: "tenant",
  sshHostKey: hostKey,
  grantId: seedNamed("grant"),
  validToTick: 1,
  notAfterMs: 1,
};

const modeOf = (path: string): number => statSync(path).mode & 0o777;

describe("with the requester's own key", () => {
  test("three lines of access, and no key is written", () => {
    const out = folder();
    const access = writeAccess(out, receipt, join(root, "my key"));
    expect(access.command).toEqual(["ssh", "-F", join(out, "ssh_config"), HOST_ALIAS]);
    expect(access.keyPath).toBe(join(root, "my key"));
    expect(access.fingerprint).toBe(sshFingerprint(hostKey));
    expect(readFileSync(access.knownHostsPath, "utf8")).toBe(
      `[203.0.113.7]:2222 ${sshPublicLine(hostKey)}\n`,
    );
    expect([access.configPath, access.knownHostsPath].map(modeOf)).toEqual([0o600, 0o600]);
  });

  test("the host key is pinned without a port on port 22", () => {
    const access = writeAccess(folder(), { ...receipt, instancePort: 22 }, "k");
    expect(readFileSync(access.knownHostsPath, "utf8")).toStartWith("203.0.113.7 ssh-ed25519 ");
  });
});

describe("with the provider's key", () => {
  const withKey = { ...receipt, sshKeyPrivate: loginSeed };

  test("it is written for us alone, and used even if we named one of ours", () => {
    const out = folder();
    const access = writeAccess(out, withKey, "mine");
    expect(access.keyPath).toBe(join(out, "id_ed25519"));
    expect(readFileSync(access.keyPath, "utf8")).toBe(sshPrivateFile(loginSeed, "compute-bridge"));
    expect(modeOf(access.keyPath)).toBe(0o600);
  });

  test("files that were readable by others before are not afterwards", () => {
    const out = folder();
    for (const name of ["id_ed25519", "ssh_config", "known_hosts"]) {
      writeFileSync(join(out, name), "old", { mode: 0o644 });
    }
    const { keyPath, configPath, knownHostsPath } = writeAccess(out, withKey);
    expect([keyPath, configPath, knownHostsPath].map(modeOf)).toEqual([0o600, 0o600, 0o600]);
    expect(readFileSync(knownHostsPath, "utf8")).not.toContain("old");
  });
});

test("without any key there is no access", () => {
  expect(codeThrownBy(() => writeAccess(folder(), receipt))).toBe("wrong-grant");
});

const INTERESTING = [
  "hostname",
  "port",
  "user",
  "identityfile",
  "identitiesonly",
  "userknownhostsfile",
  "globalknownhostsfile",
  "stricthostkeychecking",
  "hostkeyalgorithms",
  "passwordauthentication",
  "forwardagent",
];

const ssh = needs("openssh-client", Bun.which("ssh"));
if (ssh !== undefined) {
  describe("as ssh reads it", () => {
    /** `ssh -G`: every option that would hold for the connection. */
    const optionsOf = (configPath: string): Map<string, string> => {
      const { stdout, stderr, exitCode } = Bun.spawnSync([
        ssh,
        "-T",
        "-G",
        "-F",
        configPath,
        HOST_ALIAS,
      ]);
      expect([exitCode, stderr.toString()]).toEqual([0, ""]);
      const lines = stdout.toString().trim().split("\n");
      const options = new Map(
        lines.map((line) => [line.split(" ")[0] ?? "", line.slice(line.indexOf(" ") + 1)] as const),
      );
      // -G shows this one before its tokens are expanded, and the known hosts after.
      const key = options.get("identityfile");
      if (key !== undefined) options.set("identityfile", key.replaceAll("%%", "%"));
      return options;
    };

    for (const name of ["out", "a folder with spaces", "100% sure", "umlaut-ü"]) {
      test(`from a folder named ${JSON.stringify(name)}`, () => {
        const out = folder(name);
        const access = writeAccess(out, { ...receipt, sshKeyPrivate: loginSeed });
        const options = optionsOf(access.configPath);
        expect(
          Object.fromEntries([...options].filter(([key]) => INTERESTING.includes(key))),
        ).toEqual({
          hostname: "203.0.113.7",
          port: "2222",
          user: "tenant",
          identityfile: access.keyPath,
          identitiesonly: "yes",
          userknownhostsfile: access.knownHostsPath,
          globalknownhostsfile: "/dev/null",
          stricthostkeychecking: "true",
          hostkeyalgorithms: "ssh-ed25519",
          passwordauthentication: "no",
          forwardagent: "no",
        });
        expect(options.has("proxycommand")).toBe(false);
      });
    }

    const keygen = needs("openssh-client", Bun.which("ssh-keygen"));
    test("its key and host key are the ones of the receipt", () => {
      const access = writeAccess(folder(), { ...receipt, sshKeyPrivate: loginSeed });
      const run = (...args: string[]) =>
        Bun.spawnSync([keygen ?? "ssh-keygen", ...args])
          .stdout.toString()
          .trim();
      const [type, key] = run("-y", "-f", access.keyPath).split(" ");
      expect(`${type} ${key}`).toBe(sshPublicLine(signingKey(loginSeed).publicKey));
      const found = run("-F", "[203.0.113.7]:2222", "-f", access.knownHostsPath);
      expect(found).toContain(sshPublicLine(hostKey));
      expect(run("-l", "-f", access.knownHostsPath)).toContain(access.fingerprint);
    });
  });
}
