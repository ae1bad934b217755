/** What somebody asks for is checked whole, with the option's name, before anything is written or sent. */
import { afterAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "../../src/base/bytes.ts";
import { signingKey } from "../../src/base/ed25519.ts";
import { BridgeError } from "../../src/base/errors.ts";
import { HOUR_MS } from "../../src/base/limits.ts";
import { sshPrivateFile, sshPublicLine } from "../../src/base/ssh-keys.ts";
import { parseCommandLine, type Values } from "../../src/cli/command.ts";
import { requestCommand } from "../../src/cli/request.ts";
import { chooseLogin, keyFileOf } from "../../src/cli/request-login.ts";
import { checkOrder, orderOf } from "../../src/cli/request-order.ts";
import { keyNamed, seedNamed, testCeremony } from "../support/coalition.ts";
import { needs } from "../support/skip.ts";

const { coalition } = testCeremony();
const root = mkdtempSync(join(tmpdir(), "compute-bridge-order-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const valuesOf = (argv: readonly string[]): Values => parseCommandLine(requestCommand, argv);
const digest = toHex(seedNamed("image"));
const workload = [
  "--image-kind",
  "oci",
  "--image",
  "https://example.org/i",
  "--image-digest",
  digest,
];

/** The order as it would be sent, or the error. */
function ordered(argv: readonly string[]): ReturnType<typeof orderOf> | BridgeError {
  try {
    const order = orderOf(valuesOf(argv), keyNamed("login").publicKey);
    checkOrder(coalition, order);
    return order;
  } catch (error) {
    if (error instanceof BridgeError) return error;
    throw error;
  }
}

describe("an order", () => {
  test("has the defaults of the help", () => {
    expect(ordered([])).toMatchObject({
      durationMs: HOUR_MS / 4,
      image: { kind: "none", digest: new Uint8Array(32), pointer: "" },
      manifest: { minCpuMillicores: 1000, networkPolicy: { egress: "open", hosts: [] } },
      patienceTicks: 60,
    });
  });

  test("takes an image by its kind, address and digest together", () => {
    expect(ordered(workload)).toMatchObject({
      image: { kind: "oci", digest: seedNamed("image"), pointer: "https://example.org/i" },
      manifest: { crate: { name: "workload" } },
    });
  });

  test("takes an allowlist with its hosts, and the bounds of a duration", () => {
    const hosts = ["--egress-host", "a.example", "--egress-host", "b.example"];
    expect(ordered(["--egress", "allowlist", ...hosts])).toMatchObject({
      manifest: { networkPolicy: { egress: "allowlist", hosts: ["a.example", "b.example"] } },
    });
    expect(ordered(["--duration", "1s"])).toMatchObject({ durationMs: 1000 });
    expect(ordered(["--duration", "7d"])).toMatchObject({ durationMs: 168 * HOUR_MS });
  });
});

describe("an order that no provider could serve is a bad argument", () => {
  const many = Array.from({ length: 9 }, (_, i) => ["--egress-host", `h${i}.example`]).flat();
  const wide = Array.from({ length: 8 }, () => ["--egress-host", "x".repeat(128)]).flat();
  const wrong: readonly [argv: readonly string[], names: string][] = [
    [["--duration", "0s"], "--duration"],
    [["--duration", "999ms"], "--duration"],
    [["--duration", "169h"], "--duration"],
    [["--duration", "soon"], "--duration"],
    [["--cpu", "0"], "--cpu"],
    [["--cpu", "200000"], "cpu in millicores"],
    [["--patience", "100000"], "ticks"],
    [["--image", "https://example.org/i"], "--image"],
    [["--image-digest", digest], "--image"],
    [["--image-kind", "oci"], "--image"],
    [["--image-kind", "oci", "--image", "https://example.org/i"], "--image-digest"],
    [["--image-kind", "oci", "--image-digest", digest], "--image"],
    [["--image-digest", "zz"], "--image-digest"],
    [["--image-digest", digest.toUpperCase()], "--image-digest"],
    [[...workload, "--image", `https://example.org/${"x".repeat(200)}`], "--image"],
    [["--egress", "allowlist"], "--egress"],
    [["--egress-host", "a.example"], "--egress-host"],
    [["--egress", "allowlist", ...many], "--egress-host"],
    [["--egress", "allowlist", ...wide], "the envelope"],
    [["--region-hint", "x".repeat(65)], "--region-hint"],
    [["--max-price", "cheap"], "--max-price"],
  ];
  for (const [argv, names] of wrong) {
    test(argv.join(" ").slice(0, 70), () => {
      const error = ordered(argv);
      expect(error).toMatchObject({ code: "bad-argument", family: "usage" });
      expect(error instanceof BridgeError && `${error.message} ${error.fix}`).toContain(names);
    });
  }
});

describe("the login key", () => {
  const publicFile = join(root, "mykey.pub");
  writeFileSync(publicFile, `${sshPublicLine(keyNamed("mine").publicKey, "me@home")}\n`);

  test("is a new one, which is written only when it is asked for, and again after a crash", () => {
    const { login, publicKey } = chooseLogin(valuesOf([]));
    if (login.kind !== "made") throw new Error(login.kind);
    const seed = new Uint8Array(Buffer.from(login.seed, "hex"));
    expect(publicKey).toEqual(signingKey(seed).publicKey);
    for (let time = 1; time <= 2; time += 1) {
      const path = keyFileOf(login, root);
      expect(path).toBe(join(root, "id_ed25519"));
      expect(readFileSync(path ?? "", "utf8")).toBe(sshPrivateFile(seed, "compute-bridge"));
      expect(statSync(path ?? "").mode & 0o777).toBe(0o600);
    }
  });

  test("is the person's own, kept by its absolute path", () => {
    const { login, publicKey } = chooseLogin(valuesOf(["--ssh-key", publicFile]));
    expect(login).toEqual({ kind: "file", path: join(root, "mykey") });
    expect(publicKey).toEqual(keyNamed("mine").publicKey);
    expect(keyFileOf(login, root)).toBe(join(root, "mykey"));
  });

  test("is the provider's with --provider-key, which excludes an own one", () => {
    const { login, publicKey } = chooseLogin(valuesOf(["--provider-key"]));
    expect([login, publicKey, keyFileOf(login, root)]).toEqual([
      { kind: "provider" },
      undefined,
      undefined,
    ]);
    expect(() => chooseLogin(valuesOf(["--provider-key", "--ssh-key", publicFile]))).toThrow(
      "exclude",
    );
  });

  const expectRefused = (path: string): void => {
    let thrown: unknown;
    try {
      chooseLogin(valuesOf(["--ssh-key", path]));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({
      code: "bad-argument",
      message: expect.stringContaining(`--ssh-key ${path}: `),
      fix: expect.stringContaining("ed25519"),
    });
  };

  test("that is not there, or no public key, is a bad argument", () => {
    writeFileSync(join(root, "text.pub"), "not a key\n");
    writeFileSync(join(root, "short.pub"), "ssh-ed25519 AAAA\n");
    for (const name of ["nope.pub", "text.pub", "short.pub", "."]) expectRefused(join(root, name));
  });

  const keygen = needs("openssh-client", Bun.which("ssh-keygen"));
  if (keygen !== undefined)
    test("of another kind is a bad argument", () => {
      const path = join(root, "ecdsa");
      execFileSync(keygen, ["-q", "-t", "ecdsa", "-N", "", "-f", path]);
      expectRefused(`${path}.pub`);
    });
});
