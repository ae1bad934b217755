/** OpenSSH itself is the judge: it must read what we write, and we must read what it writes. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { concat, fromHex, toHex, utf8 } from "../../src/base/bytes.ts";
import { randomSeed, signingKey } from "../../src/base/ed25519.ts";
import {
  knownHostsLine,
  parseSshBlob,
  parseSshPublicLine,
  sshBlob,
  sshFingerprint,
  sshPrivateFile,
  sshPublicLine,
} from "../../src/base/ssh-keys.ts";
import { bytes } from "../support/arbitraries.ts";
import { codeThrownBy } from "../support/codes.ts";
import { needs } from "../support/skip.ts";

const folder = mkdtempSync(join(tmpdir(), "ssh-keys-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("public keys", () => {
  test("line and blob lead back to the key", () => {
    fc.assert(
      fc.property(bytes(32), (key) => {
        expect(toHex(parseSshPublicLine(sshPublicLine(key)))).toBe(toHex(key));
        expect(toHex(parseSshPublicLine(`  ${sshPublicLine(key, "me@here")}\n`))).toBe(toHex(key));
        expect(toHex(parseSshBlob(sshBlob(key)))).toBe(toHex(key));
      }),
    );
  });

  test("other key types, options and broken blobs are refused", () => {
    const key = signingKey(randomSeed()).publicKey;
    const blob = sshBlob(key);
    const REFUSED = [
      "",
      "ssh-ed25519",
      "ssh-ed25519 ????",
      `ssh-rsa ${sshPublicLine(key).split(" ")[1]}`,
      `command="id" ${sshPublicLine(key)}`,
      `ssh-ed25519 ${Buffer.from(blob.subarray(1)).toString("base64")}`,
      `ssh-ed25519 ${Buffer.from(concat(blob, utf8("x"))).toString("base64")}`,
      `ssh-ed25519 ${Buffer.from(concat(fromHex("00"), blob)).toString("base64")}`,
    ];
    for (const line of REFUSED)
      expect(codeThrownBy(() => parseSshPublicLine(line))).toBe("malformed");
  });

  test("arbitrary blobs are refused with a code", () => {
    fc.assert(
      fc.property(bytes(0, 60), (blob) => {
        expect(codeThrownBy(() => parseSshBlob(blob))).toBe("malformed");
      }),
    );
  });

  test("a key of another length is refused", () => {
    expect(codeThrownBy(() => sshBlob(new Uint8Array(31)))).toBe("malformed");
  });
});

const keygen = needs("openssh-client", Bun.which("ssh-keygen"));
if (keygen !== undefined) {
  const run = (...args: string[]): string => {
    const { exitCode, stdout, stderr } = Bun.spawnSync([keygen, ...args], { stdin: "ignore" });
    if (exitCode !== 0) throw new Error(`ssh-keygen ${args.join(" ")}: ${stderr.toString()}`);
    return stdout.toString().trim();
  };
  const write = (name: string, text: string, mode = 0o600): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode });
    return path;
  };

  describe("against ssh-keygen", () => {
    // The comment's length decides the padding of the private section: all eight paddings occur.
    for (let length = 0; length < 8; length += 1) {
      test(`it reads our private file with a comment of ${length} characters`, () => {
        const seed = randomSeed();
        const comment = "c".repeat(length);
        const path = write(`ours-${length}`, sshPrivateFile(seed, comment));
        expect(run("-y", "-f", path)).toBe(sshPublicLine(signingKey(seed).publicKey, comment));
      });
    }

    test("fingerprints are the same", () => {
      const key = signingKey(randomSeed()).publicKey;
      const path = write("print.pub", `${sshPublicLine(key, "note")}\n`);
      expect(run("-l", "-E", "sha256", "-f", path)).toBe(
        `256 ${sshFingerprint(key)} note (ED25519)`,
      );
    });

    test("we read the public key it makes", () => {
      const path = join(folder, "theirs");
      run("-q", "-t", "ed25519", "-N", "", "-C", "made here", "-f", path);
      const line = readFileSync(`${path}.pub`, "utf8");
      const key = parseSshPublicLine(line);
      expect(line.trim()).toBe(sshPublicLine(key, "made here"));
      expect(run("-l", "-f", path)).toContain(sshFingerprint(key));
    });

    test("it verifies a signature by our key, and signs one that our key verifies as a file", () => {
      const seed = randomSeed();
      const key = write("signer", sshPrivateFile(seed));
      const allowed = write("allowed", `me ${sshPublicLine(signingKey(seed).publicKey)}\n`);
      const message = write("message", "to be signed");
      run("-q", "-Y", "sign", "-f", key, "-n", "test", message);
      const checked = Bun.spawnSync(
        [keygen, "-Y", "verify", "-f", allowed, "-I", "me", "-n", "test", "-s", `${message}.sig`],
        { stdin: Bun.file(message) },
      );
      expect(checked.stdout.toString()).toContain(sshFingerprint(signingKey(seed).publicKey));
      expect(checked.exitCode).toBe(0);
    });

    test("it finds a host in our known_hosts line, with and without the default port", () => {
      const key = signingKey(randomSeed()).publicKey;
      const path = write(
        "known_hosts",
        knownHostsLine("example.org", 22, key) + knownHostsLine("127.0.0.1", 2222, key),
      );
      expect(run("-F", "example.org", "-f", path)).toContain(sshPublicLine(key));
      expect(run("-F", "[127.0.0.1]:2222", "-f", path)).toContain(sshPublicLine(key));
      expect(() => run("-F", "example.com", "-f", path)).toThrow();
    });

    test("it refuses our file when one byte of the key is changed", () => {
      const text = sshPrivateFile(randomSeed());
      const at = 200;
      const changed = `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`;
      expect(() => run("-y", "-f", write("broken", changed))).toThrow();
    });
  });
}
