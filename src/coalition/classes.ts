/**
 * The closed lists a public request chooses from. A request names classes, not its exact needs: fewer distinct
 * requests mean more requests that look alike.
 */
import { must } from "../base/assert.ts";
import { BridgeError } from "../base/errors.ts";
import { HOUR_MS, MINUTE_MS } from "../base/limits.ts";
import { integer, oneOf, type Static, strictObject } from "../base/schema.ts";

/** What a machine is: the kind of trusted execution environment it runs in. */
export const TEE_KINDS = ["none", "sev-snp", "tdx"] as const;
export type TeeKind = (typeof TEE_KINDS)[number];

/** What a request wants: `none` takes any machine, `any` takes any TEE, the others exactly that one. */
export const TEE_WANTS = ["none", "any", "sev-snp", "tdx"] as const;
export type TeeWant = (typeof TEE_WANTS)[number];

export const REGION_CLASSES = [
  "any",
  "africa",
  "asia",
  "europe",
  "north-america",
  "oceania",
  "south-america",
] as const;
export type RegionClass = (typeof REGION_CLASSES)[number];

export const IMAGE_KINDS = ["none", "oci", "rootfs"] as const;
export type ImageKind = (typeof IMAGE_KINDS)[number];

const CPU_STEPS_MILLICORES = [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000];
const RAM_STEPS_MIB = [256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144];
const STORAGE_STEPS_GIB = [1, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const DURATION_STEPS_MS = [
  MINUTE_MS,
  5 * MINUTE_MS,
  15 * MINUTE_MS,
  HOUR_MS,
  4 * HOUR_MS,
  12 * HOUR_MS,
  24 * HOUR_MS,
  72 * HOUR_MS,
  168 * HOUR_MS,
];

export const DURATION_MIN_MS = must(DURATION_STEPS_MS[0], "the list is not empty");
/** The longest duration class: nothing in the system may outlive it. */
export const DURATION_MAX_MS = must(DURATION_STEPS_MS.at(-1), "the list is not empty");

export const ShapeSchema = strictObject({
  cpuMillicores: integer(1, 1_024_000),
  ramMib: integer(1, 16_777_216),
  storageGib: integer(0, 65_536),
});
export type Shape = Static<typeof ShapeSchema>;

export const TeeKindSchema = oneOf(TEE_KINDS);
export const TeeWantSchema = oneOf(TEE_WANTS);
export const RegionClassSchema = oneOf(REGION_CLASSES);
export const ImageKindSchema = oneOf(IMAGE_KINDS);

/** The smallest class that holds the need. Throws `bad-argument` when none does. */
export function shapeClass(need: Shape): Shape {
  return {
    cpuMillicores: step(need.cpuMillicores, CPU_STEPS_MILLICORES, "cpu in millicores"),
    ramMib: step(need.ramMib, RAM_STEPS_MIB, "ram in MiB"),
    storageGib: step(need.storageGib, STORAGE_STEPS_GIB, "storage in GiB"),
  };
}

export function isShapeClass(shape: Shape): boolean {
  return (
    CPU_STEPS_MILLICORES.includes(shape.cpuMillicores) &&
    RAM_STEPS_MIB.includes(shape.ramMib) &&
    STORAGE_STEPS_GIB.includes(shape.storageGib)
  );
}

export function durationClass(needMs: number): number {
  return step(needMs, DURATION_STEPS_MS, "duration in ms");
}

export function isDurationClass(durationMs: number): boolean {
  return DURATION_STEPS_MS.includes(durationMs);
}

export function covers(have: Shape, need: Shape): boolean {
  return (
    have.cpuMillicores >= need.cpuMillicores &&
    have.ramMib >= need.ramMib &&
    have.storageGib >= need.storageGib
  );
}

/** TDX required is a filter, never a score: SEV-SNP does not stand in for it (DESIGN section 8). */
export function teeSatisfies(have: TeeKind, want: TeeWant): boolean {
  if (want === "none") return true;
  if (want === "any") return have !== "none";
  return have === want;
}

function step(need: number, steps: readonly number[], what: string): number {
  const found = steps.find((size) => size >= need);
  if (found === undefined) {
    throw new BridgeError(
      "bad-argument",
      `${what}: ${need} is above the largest class ${steps.at(-1)}`,
    );
  }
  return found;
}
