/**
 * Ranks the fleet's offers for one workload: filter first (TDX required is a filter, never a score), then the
 * operator's priority, then the requester's region, then price. Everything left out is left out for a reason.
 */
import type { RegionClass, TeeWant } from "../coalition/classes.ts";
import { teeSatisfies } from "../coalition/classes.ts";
import type { Backend, BackendOffer, MachineNeed } from "./backend.ts";

export interface RoutedOffer {
  readonly backend: string;
  readonly priority: number;
  readonly offer: BackendOffer;
}

export interface RouteRequest {
  readonly need: MachineNeed;
  readonly tee: TeeWant;
  readonly regionClass: RegionClass;
  readonly maxPricePerHourMicros: number;
}

export interface LeftOut {
  readonly backend: string;
  readonly region: string;
  readonly reason: string;
}

export interface Route {
  readonly placements: readonly RoutedOffer[];
  readonly leftOut: readonly LeftOut[];
}

export function route(
  offers: readonly RoutedOffer[],
  backends: ReadonlyMap<string, Backend>,
  isBlocked: (offer: RoutedOffer) => boolean,
  request: RouteRequest,
): Route {
  const placements: RoutedOffer[] = [];
  const leftOut: LeftOut[] = [];
  for (const candidate of offers) {
    const reason = unfit(candidate, backends.get(candidate.backend), isBlocked, request);
    if (reason === undefined) placements.push(candidate);
    else leftOut.push({ backend: candidate.backend, region: candidate.offer.region, reason });
  }
  const hint = request.need.regionHint;
  const rank = ({ priority, offer }: RoutedOffer): readonly number[] => [
    priority,
    hint !== "" && offer.region === hint ? 0 : 1,
    offer.pricePerHourMicros,
  ];
  placements.sort((a, b) => compareRanks(rank(a), rank(b)));
  return { placements, leftOut };
}

function unfit(
  candidate: RoutedOffer,
  backend: Backend | undefined,
  isBlocked: (offer: RoutedOffer) => boolean,
  { need, tee, regionClass, maxPricePerHourMicros }: RouteRequest,
): string | undefined {
  const { offer } = candidate;
  if (backend === undefined) return "the backend is not configured any more";
  if (!teeSatisfies(offer.tee, tee)) return `tee: ${offer.tee} is not ${tee}`;
  if (!teeSatisfies(offer.tee, need.manifest.tee))
    return `tee: ${offer.tee} is not ${need.manifest.tee}`;
  if (regionClass !== "any" && offer.regionClass !== regionClass)
    return `region: not in ${regionClass}`;
  if (offer.pricePerHourMicros > maxPricePerHourMicros) return "price: above the granted one";
  if (offer.free < 1) return "capacity: none free";
  if (isBlocked(candidate)) return "capacity: failed a moment ago";
  const misfit = backend.canSatisfy(offer, need);
  return misfit === undefined ? undefined : `${misfit.code}: ${misfit.reason}`;
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
