/** What the local backend offers and what it says no to, each with its reason. */
import { afterAll, expect, test } from "bun:test";
import type { MachineNeed } from "../../../src/fleet/backend.ts";
import { localBackend } from "../../../src/fleet/backends/local/backend.ts";
import { cleanUp, NEVER, options } from "./support.ts";

afterAll(cleanUp);

const backend = localBackend(options());
const [offer] = await backend.capabilities(NEVER);
if (offer === undefined) throw new Error("the backend has one offer");

const need: MachineNeed = {
  shape: { cpuMillicores: 250, ramMib: 256, storageGib: 1 },
  manifest: {
    v: 1,
    crate: { name: "w", version: "1", tree: "" },
    minCpuMillicores: 1,
    minRamMib: 1,
    minStorageGib: 0,
    tee: "none",
    networkPolicy: { egress: "open", hosts: [] },
  },
  imageKind: "none",
  regionHint: "",
};

const withManifest = (changes: Partial<MachineNeed["manifest"]>): MachineNeed => ({
  ...need,
  manifest: { ...need.manifest, ...changes },
});

test("the one offer is what a machine really has", () => {
  expect(offer).toEqual({
    region: "here",
    regionClass: "europe",
    zone: "here",
    shape: { cpuMillicores: 1000, ramMib: 1024, storageGib: 1 },
    tee: "none",
    free: 4,
    pricePerHourMicros: 1000,
    imageKinds: ["none"],
  });
});

test("what fits, fits; a region hint is a wish", () => {
  expect(backend.canSatisfy(offer, need)).toBeUndefined();
  expect(backend.canSatisfy(offer, { ...need, shape: offer.shape })).toBeUndefined();
  expect(backend.canSatisfy(offer, { ...need, regionHint: "elsewhere" })).toBeUndefined();
});

test.each([
  ["cpu", { ...need, shape: { ...need.shape, cpuMillicores: 1001 } }],
  ["cpu", withManifest({ minCpuMillicores: 1001 })],
  ["ram", { ...need, shape: { ...need.shape, ramMib: 1025 } }],
  ["ram", withManifest({ minRamMib: 1025 })],
  ["storage", { ...need, shape: { ...need.shape, storageGib: 2 } }],
  ["storage", withManifest({ minStorageGib: 2 })],
  ["tee", withManifest({ tee: "any" })],
  ["tee", withManifest({ tee: "tdx" })],
  ["tee", withManifest({ tee: "sev-snp" })],
  ["image-kind", { ...need, imageKind: "oci" }],
  ["image-kind", { ...need, imageKind: "rootfs" }],
  ["network-policy", withManifest({ networkPolicy: { egress: "none", hosts: [] } })],
  ["network-policy", withManifest({ networkPolicy: { egress: "allowlist", hosts: ["a.test"] } })],
] as [string, MachineNeed][])("%s: refused", (code, wanted) => {
  const unfit = backend.canSatisfy(offer, wanted);
  expect(unfit?.code).toBe(code as never);
  expect(unfit?.reason).not.toBe("");
});

test("another region's offer, or one below our price, is not ours", () => {
  expect(backend.canSatisfy({ ...offer, region: "there" }, need)?.code).toBe("region");
  expect(backend.canSatisfy({ ...offer, pricePerHourMicros: 999 }, need)?.code).toBe("price");
});
