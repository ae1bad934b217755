/** From the options of `request` to an order: what somebody wants. Everything is checked before anything is written. */
import { build } from "../base/build.ts";
import { type Bytes32, bytes32 } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import { HOUR_MS, SECOND_MS } from "../base/limits.ts";
import { DURATION_MAX_MS, IMAGE_KINDS, REGION_CLASSES, TEE_WANTS } from "../coalition/classes.ts";
import type { Coalition } from "../coalition/config.ts";
import { imageProblem, type Manifest } from "../coalition/manifest.ts";
import type { Accept } from "../coalition/request.ts";
import { composeRequest, type Order } from "../zipnet/compose.ts";
import {
  choiceOption,
  durationOption,
  hexOption,
  integerOption,
  moneyOption,
} from "./arguments.ts";
import type { Values } from "./command.ts";

/** Throws `bad-argument` with the option's name. */
export function orderOf(values: Values, sshKey: Bytes32 | undefined): Order {
  const image = imageOf(values);
  return {
    manifest: {
      v: 1,
      crate: { name: image.kind === "none" ? "shell" : "workload", version: "1", tree: "" },
      minCpuMillicores: integerOption(values, "cpu", 1000, 1, 1_024_000),
      minRamMib: integerOption(values, "ram", 512, 1, 16_777_216),
      minStorageGib: integerOption(values, "storage", 1, 0, 65_536),
      tee: choiceOption(values, "tee", TEE_WANTS, "none"),
      networkPolicy: networkPolicyOf(values),
    },
    image,
    regionClass: choiceOption(values, "region", REGION_CLASSES, "any"),
    regionHint: values.text("region-hint") ?? "",
    durationMs: durationOption(values, "duration", HOUR_MS / 4, [SECOND_MS, DURATION_MAX_MS]),
    maxPricePerHourMicros: moneyOption(values, "max-price", 1_000_000),
    accept: acceptOf(values),
    sshKey,
    patienceTicks: integerOption(values, "patience", 60, 1, 100_000),
  };
}

function imageOf(values: Values): Order["image"] {
  const image = {
    kind: choiceOption(values, "image-kind", IMAGE_KINDS, "none"),
    digest: bytes32(hexOption(values, "image-digest", 32) ?? new Uint8Array(32), "image digest"),
    pointer: values.text("image") ?? "",
  };
  const problem = imageProblem(image);
  if (problem === undefined) return image;
  throw new BridgeError("bad-argument", problem, {
    fix: "give --image, --image-kind and --image-digest together, or none of them",
  });
}

function networkPolicyOf(values: Values): Manifest["networkPolicy"] {
  const egress = choiceOption(values, "egress", ["none", "open", "allowlist"], "open");
  const hosts = [...values.list("egress-host")];
  if ((egress === "allowlist") === hosts.length > 0) return { egress, hosts };
  throw new BridgeError("bad-argument", "--egress allowlist and --egress-host go together", {
    fix: "name every host of the list with an --egress-host of its own",
  });
}

/** Attested providers only, unless the person says otherwise or this is a development build. */
function acceptOf(values: Values): Accept {
  const unattested = values.has("accept-unattested") || build.flavour === "development";
  return unattested
    ? { releases: [], providerTee: "none", tcb: "unattested" }
    : { releases: [], providerTee: "tdx", tcb: "up-to-date" };
}

/** Which option put the value there; paths as a schema error begins with them. */
const OPTION_OF: readonly (readonly [path: string, option: string])[] = [
  ["envelope.image.pointer", "--image"],
  ["envelope.regionHint", "--region-hint"],
  ["envelope.manifest.networkPolicy.hosts", "--egress-host"],
];

/** Composes the order once, for nobody, before anything is written or sent. Throws `bad-argument`. */
export function checkOrder(coalition: Coalition, order: Order): void {
  try {
    composeRequest(coalition, order, 0);
  } catch (error) {
    if (!(error instanceof BridgeError) || error.family !== "encoding") throw error;
    const [path = "", option] = OPTION_OF.find(([start]) => error.message.startsWith(start)) ?? [];
    const message =
      option === undefined ? error.message : `${option}${error.message.slice(path.length)}`;
    throw new BridgeError(
      "bad-argument",
      message,
      error.fix === undefined ? {} : { fix: error.fix },
    );
  }
}
