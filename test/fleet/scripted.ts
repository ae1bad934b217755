/** Offers, and backends that do as the test says. */
import type { Backend, BackendOffer, ListedMachine, MachineNeed } from "../../src/fleet/backend.ts";
import type { RoutedOffer, RouteRequest } from "../../src/fleet/route.ts";
import { sampleResolution } from "../ledger/samples.ts";

export const offerOf = (changes: Partial<BackendOffer> = {}): BackendOffer => ({
  region: "here-1",
  regionClass: "europe",
  zone: "a",
  shape: { cpuMillicores: 2000, ramMib: 2048, storageGib: 8 },
  tee: "none",
  free: 3,
  pricePerHourMicros: 1000,
  imageKinds: ["none"],
  ...changes,
});

export const routedOffer = (
  backend: string,
  changes: Partial<BackendOffer> = {},
  priority = 0,
): RoutedOffer => ({ backend, priority, offer: offerOf(changes) });

export const needOf = (changes: Partial<MachineNeed> = {}): MachineNeed => ({
  shape: { cpuMillicores: 1000, ramMib: 1024, storageGib: 4 },
  manifest: sampleResolution.manifest,
  imageKind: "none",
  regionHint: "",
  ...changes,
});

export const wanted = (changes: Partial<RouteRequest> = {}): RouteRequest => ({
  need: needOf(),
  tee: "none",
  regionClass: "any",
  maxPricePerHourMicros: 1000,
  ...changes,
});

/** Offers one thing, has no machines, and refuses nothing, unless told otherwise. */
export function backendOf(name: string, changes: Partial<Backend> = {}): Backend {
  return {
    name,
    capabilities: async () => [offerOf()],
    canSatisfy: () => undefined,
    provision: () => Promise.reject(new Error("not scripted")),
    watchUntilExit: () => new Promise(() => {}),
    terminate: async () => "gone",
    list: async () => ({ machines: [], complete: true }),
    ...changes,
  };
}

export const hangs = (): Promise<never> => new Promise(() => {});

export const listed = (name: string, changes: Partial<ListedMachine> = {}): ListedMachine => ({
  backend: "a",
  name,
  tags: { providerId: "us", grantId: name, attempt: 1, try: 0, deadlineMs: 1 },
  createdMs: 0,
  state: "running",
  ...changes,
});
