/** Whether a local machine can serve a workload, and why not. */
import { covers, teeSatisfies } from "../../../coalition/classes.ts";
import type { BackendOffer, MachineNeed, Unfit } from "../../backend.ts";

/** Undefined means yes. `ours` is what this backend offers; the region hint is a wish, not a condition. */
export function unfit(
  offer: BackendOffer,
  need: MachineNeed,
  ours: Omit<BackendOffer, "free">,
): Unfit | undefined {
  const { manifest, shape } = need;
  if (offer.region !== ours.region) {
    return { code: "region", reason: `the offer is for ${offer.region}, we are in ${ours.region}` };
  }
  if (offer.pricePerHourMicros < ours.pricePerHourMicros) {
    return { code: "price", reason: "the offer is below the price of this backend" };
  }
  if (!ours.imageKinds.includes(need.imageKind)) {
    return { code: "image-kind", reason: `a local machine cannot run a ${need.imageKind} image` };
  }
  if (!teeSatisfies(ours.tee, manifest.tee)) {
    return { code: "tee", reason: `"${manifest.tee}" is asked for, a local machine has no TEE` };
  }
  if (manifest.networkPolicy.egress !== "open") {
    return {
      code: "network-policy",
      reason: `a local machine cannot enforce egress "${manifest.networkPolicy.egress}"`,
    };
  }
  const needed = {
    cpuMillicores: Math.max(shape.cpuMillicores, manifest.minCpuMillicores),
    ramMib: Math.max(shape.ramMib, manifest.minRamMib),
    storageGib: Math.max(shape.storageGib, manifest.minStorageGib),
  };
  if (covers(ours.shape, needed)) return undefined;
  if (needed.cpuMillicores > ours.shape.cpuMillicores) {
    return { code: "cpu", reason: `${needed.cpuMillicores} millicores are needed` };
  }
  if (needed.ramMib > ours.shape.ramMib) {
    return { code: "ram", reason: `${needed.ramMib} MiB of memory are needed` };
  }
  return { code: "storage", reason: `${needed.storageGib} GiB of storage are needed` };
}
