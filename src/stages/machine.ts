/** Stages around the machine: route, create, terminate, and inspect after a lost journal. */
import { toHex } from "../base/bytes.ts";
import { signingKey } from "../base/ed25519.ts";
import { BridgeError, type ErrorCode, hasCode } from "../base/errors.ts";
import { PLACEMENTS_MAX } from "../base/limits.ts";
import { correlate } from "../base/log.ts";
import { isAnswered, logChain } from "../coalition/answers.ts";
import { CHAIN_START, logHash } from "../coalition/log.ts";
import type { MachineOrder } from "../fleet/backend.ts";
import { derivedSeed, machineName } from "../fleet/names.ts";
import type { GrantEvent } from "../ledger/events.ts";
import type {
  GrantCommon,
  Placement,
  Provisioning,
  Resolution,
  Resolved,
  Terminating,
} from "../ledger/state.ts";
import { replyKey, replyTag } from "../zipnet/board.ts";
import type { StageContext } from "./context.ts";
import { endMachines, findRemains } from "./remains.ts";

/** What the requester is told is ours alone: a backend's words may name accounts, zones and limits. */
const TOLD: Partial<Record<ErrorCode, string>> = {
  capacity: "no machine of this shape is free at the moment",
  quota: "this provider has reached a limit of its backend",
  "bad-image": "the image could not be fetched, or is not the one that was named",
};
const TOLD_OTHERWISE = "the machine could not be started";

export function routeStage({ fleet, log }: StageContext, state: Resolved): GrantEvent {
  const { resolution, grant } = state;
  const { shape, manifest, image, regionHint, tee, regionClass } = resolution;
  const { placements, leftOut } = fleet.route({
    need: { shape, manifest, imageKind: image.kind, regionHint },
    tee,
    regionClass,
    maxPricePerHourMicros: grant.pricePerHourMicros,
  });
  if (placements.length === 0) {
    if (!fleet.isHeard()) {
      throw new BridgeError("capacity", "a backend has not said yet what it has", {
        retry: "later",
      });
    }
    const why = leftOut.map(({ backend, region, reason }) => `${backend} ${region}: ${reason}`);
    log.warn("no-placement", { grant: correlate(state.grantId), leftOut: why.join("; ") });
  }
  return {
    type: "routed",
    placements: placements.slice(0, PLACEMENTS_MAX).map(({ backend, offer }) => ({
      backend,
      region: offer.region,
      regionClass: offer.regionClass,
      zone: offer.zone,
      shape: offer.shape,
      tee: offer.tee,
      pricePerHourMicros: offer.pricePerHourMicros,
    })),
    detail: "no backend of this provider can take it now",
  };
}

/** A definite failure becomes an event; a throttled call is made again with the same name. */
export async function createStage(
  context: StageContext,
  state: Provisioning,
  signal: AbortSignal,
): Promise<GrantEvent | undefined> {
  const placement = state.placements[state.try];
  if (placement === undefined) throw new BridgeError("invariant", "no placement for this try");
  const order = machineOrder(context, state, placement);
  try {
    const machine = await context.fleet.provision(placement.backend, order, placement, signal);
    return { type: "up", try: state.try, machine };
  } catch (error) {
    if (signal.aborted) return undefined;
    if (hasCode(error, "throttle")) throw error;
    const known = error instanceof BridgeError && error.family === "backend";
    const code = known ? error.code : "bug";
    const alarm = code === "auth" || code === "bug" ? "error" : "warn";
    context.log[alarm]("create-failed", { backend: placement.backend, try: state.try, error });
    return {
      type: "create-failed",
      try: state.try,
      code,
      detail: TOLD[code] ?? TOLD_OTHERWISE,
    };
  }
}

/** Ends the machine of this try, or what was found after a restart without a journal. */
export async function terminateStage(
  context: StageContext,
  state: Terminating,
  signal: AbortSignal,
): Promise<GrantEvent | undefined> {
  const placement = state.placements[state.try];
  const own = placement && { backend: placement.backend, name: nameFor(context, state, placement) };
  const targets = state.found.length > 0 || own === undefined ? state.found : [own];
  await endMachines(context, targets, signal);
  return signal.aborted ? undefined : { type: "gone" };
}

/** Looks for what an earlier instance left. */
export async function inspectStage(
  context: StageContext,
  state: Resolved,
  signal: AbortSignal,
): Promise<GrantEvent | undefined> {
  const { board, records } = context;
  const ours = await findRemains(context, state.grantId, signal);
  if (signal.aborted) return undefined;
  const { providerId } = context;
  const tag = replyTag(state.resolution.secret, state.grant.attempt, "receipt");
  const receipt = replyKey({ providerId, tag });
  const chain = logChain(records.logs, state.grantId);
  const last = chain.at(-1);
  const first = ours[0];
  context.log.info("inspected", { grant: correlate(state.grantId), machines: ours.length });
  return {
    type: "inspected",
    machines: ours.flatMap(({ machine, state: of }) =>
      machine !== undefined && of === "running" ? [machine] : [],
    ),
    others: ours.filter(({ machine, state: of }) => machine === undefined || of !== "running"),
    sinceMs: first && Math.floor(Math.min(...ours.map(({ createdMs }) => createdMs))),
    placement: first && {
      backend: first.backend,
      region: "",
      regionClass: "any",
      zone: "",
      shape: state.resolution.shape,
      tee: first.machine?.tee ?? "none",
      pricePerHourMicros: state.grant.pricePerHourMicros,
    },
    receiptPosted: board.replies.get(receipt) !== undefined,
    acked: board.acks.get(receipt) !== undefined,
    chain: {
      nextSeq: chain.length,
      head: last === undefined ? CHAIN_START : logHash(last),
      closed: isAnswered(records, state.grant),
    },
  };
}

function machineOrder(
  context: StageContext,
  state: Provisioning,
  { region, zone, shape, tee }: Placement,
): MachineOrder {
  const { resolution, grant, deadlineMs } = state;
  const name = nameFor(context, state, { region, zone, shape });
  return {
    name,
    tags: {
      providerId: toHex(context.providerId),
      grantId: toHex(state.grantId),
      attempt: grant.attempt,
      try: state.try,
      deadlineMs,
    },
    region,
    zone,
    shape,
    tee,
    image: resolution.image,
    egress: resolution.manifest.networkPolicy,
    loginKey: resolution.sshKey ?? signingKey(tenantSeed(context, state)).publicKey,
    bootstrapHostSeed: derivedSeed(context.localSecret, name, "bootstrap-host"),
    bootstrapLoginSeed: derivedSeed(context.localSecret, name, "bootstrap-login"),
    deadlineMs,
  };
}

/** The login key pair of a requester who sent no public key. */
export function tenantSeed(context: StageContext, state: Pick<GrantCommon, "grantId">): Uint8Array {
  return derivedSeed(context.localSecret, toHex(state.grantId), "tenant-login").reveal();
}

function nameFor(
  context: StageContext,
  state: GrantCommon & { readonly try: number; readonly resolution: Resolution },
  place: Pick<Placement, "region" | "zone" | "shape">,
): string {
  return machineName({
    providerId: context.providerId,
    grantId: state.grantId,
    attempt: state.grant.attempt,
    try: state.try,
    region: place.region,
    zone: place.zone,
    ...place.shape,
  });
}
