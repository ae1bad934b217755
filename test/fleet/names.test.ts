/** Names and seeds of machines: the same order gives the same, another order in any field gives another. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { toHex } from "../../src/base/bytes.ts";
import { Secret } from "../../src/base/secret.ts";
import { derivedSeed, type MachineIdentity, machineName } from "../../src/fleet/names.ts";
import { bytes } from "../support/arbitraries.ts";

const identity: MachineIdentity = {
  providerId: new Uint8Array(32).fill(1),
  grantId: new Uint8Array(32).fill(2),
  attempt: 1,
  try: 0,
  region: "eu-west-1",
  zone: "eu-west-1a",
  cpuMillicores: 1000,
  ramMib: 1024,
  storageGib: 8,
};

describe("machine names", () => {
  test("fit every cloud and say nothing", () => {
    expect(machineName(identity)).toMatch(/^cb-[0-9a-f]{36}$/);
  });

  test("are the same for the same order, whatever object it stands in", () => {
    expect(machineName({ ...identity, grantId: identity.grantId.slice() })).toBe(
      machineName(identity),
    );
  });

  test("differ when any one field differs", () => {
    const changes: Required<{ [K in keyof MachineIdentity]: MachineIdentity[K] }> = {
      providerId: new Uint8Array(32).fill(9),
      grantId: new Uint8Array(32).fill(9),
      attempt: 2,
      try: 1,
      region: "eu-west-2",
      zone: "eu-west-1b",
      cpuMillicores: 1001,
      ramMib: 1025,
      storageGib: 9,
    };
    const names = Object.entries(changes).map(([field, value]) =>
      machineName({ ...identity, [field]: value }),
    );
    expect(new Set([machineName(identity), ...names]).size).toBe(Object.keys(identity).length + 1);
  });

  test("do not run fields together", () => {
    const a = machineName({ ...identity, region: "ab", zone: "c" });
    const b = machineName({ ...identity, region: "a", zone: "bc" });
    expect(a).not.toBe(b);
  });

  test("never collide in many random orders", () => {
    const order = fc.record({
      providerId: bytes(32),
      grantId: bytes(32),
      attempt: fc.integer({ min: 1, max: 3 }),
      try: fc.nat(40),
      region: fc.string({ maxLength: 8 }),
      zone: fc.string({ maxLength: 8 }),
      cpuMillicores: fc.nat(1e6),
      ramMib: fc.nat(1e7),
      storageGib: fc.nat(1e5),
    });
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(order, (one) => {
        const what = JSON.stringify({
          ...one,
          providerId: toHex(one.providerId),
          grantId: toHex(one.grantId),
        });
        expect(seen.get(machineName(one)) ?? what).toBe(what);
        seen.set(machineName(one), what);
      }),
      { numRuns: 500 },
    );
  });
});

describe("derived seeds", () => {
  const host = new Secret(new Uint8Array(32).fill(7));
  const seed = (secret: Secret, name: string, purpose: Parameters<typeof derivedSeed>[2]): string =>
    toHex(derivedSeed(secret, name, purpose).reveal());

  test("are the same after a restart, so a create call that is issued again is the same call", () => {
    expect(seed(host, "cb-1", "bootstrap-host")).toBe(seed(host, "cb-1", "bootstrap-host"));
    expect(derivedSeed(host, "cb-1", "bootstrap-host").reveal().length).toBe(32);
  });

  test("differ by host secret, by machine, and by purpose", () => {
    const other = new Secret(new Uint8Array(32).fill(8));
    const all = [host, other].flatMap((secret) =>
      ["cb-1", "cb-2"].flatMap((name) =>
        (["bootstrap-host", "bootstrap-login", "tenant-login"] as const).map((purpose) =>
          seed(secret, name, purpose),
        ),
      ),
    );
    expect(new Set(all).size).toBe(12);
  });

  test("print as a placeholder", () => {
    expect(`${derivedSeed(host, "cb-1", "tenant-login")}`).toBe("[secret]");
  });
});
