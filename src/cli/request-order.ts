/** From the options of `request` to an order: what somebody wants, and which login key goes with it. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "../base/build.ts";
import { type Bytes32, fromHex } from "../base/bytes.ts";
import { randomSeed, signingKey } from "../base/ed25519.ts";
import { HOUR_MS } from "../base/limits.ts";
import { parseSshPublicLine, sshPrivateFile, sshPublicLine } from "../base/ssh-keys.ts";
import { IMAGE_KINDS, REGION_CLASSES, TEE_WANTS } from "../coalition/classes.ts";
import type { Accept } from "../coalition/request.ts";
import type { Order } from "../zipnet/compose.ts";
import { choiceOption, durationOption, integerOption, moneyOption } from "./arguments.ts";
import type { Values } from "./command.ts";

const KEY_FILE = "id_ed25519";

export function orderOf(values: Values, dir: string): Order {
  const kind = choiceOption(values, "image-kind", IMAGE_KINDS, "none");
  const digest = values.text("image-digest") ?? "0".repeat(64);
  return {
    manifest: {
      v: 1,
      crate: { name: kind === "none" ? "shell" : "workload", version: "1", tree: "" },
      minCpuMillicores: integerOption(values, "cpu", 1000, 1, 1_024_000),
      minRamMib: integerOption(values, "ram", 512, 1, 16_777_216),
      minStorageGib: integerOption(values, "storage", 1, 0, 65_536),
      tee: choiceOption(values, "tee", TEE_WANTS, "none"),
      networkPolicy: {
        egress: choiceOption(values, "egress", ["none", "open", "allowlist"], "open"),
        hosts: [...values.list("egress-host")],
      },
    },
    image: {
      kind,
      digest: fromHex(digest, "--image-digest") as Bytes32,
      pointer: values.text("image") ?? "",
    },
    regionClass: choiceOption(values, "region", REGION_CLASSES, "any"),
    regionHint: values.text("region-hint") ?? "",
    durationMs: durationOption(values, "duration", HOUR_MS / 4),
    maxPricePerHourMicros: moneyOption(values, "max-price", 1_000_000),
    accept: acceptOf(values),
    sshKey: loginKey(values, dir),
    patienceTicks: integerOption(values, "patience", 60, 1, 100_000),
  };
}

/** Attested providers only, unless the person says otherwise or this is a development build. */
function acceptOf(values: Values): Accept {
  const unattested = values.has("accept-unattested") || build.flavour === "development";
  return unattested
    ? { releases: [], providerTee: "none", tcb: "unattested" }
    : { releases: [], providerTee: "tdx", tcb: "up-to-date" };
}

function loginKey(values: Values, dir: string): Bytes32 | undefined {
  if (values.has("provider-key")) return undefined;
  const given = values.text("ssh-key");
  if (given !== undefined) return parseSshPublicLine(readFileSync(given, "utf8"));
  const seed = randomSeed();
  const { publicKey } = signingKey(seed);
  writeFileSync(join(dir, KEY_FILE), sshPrivateFile(seed, "compute-bridge"), {
    mode: 0o600,
    flag: "wx",
  });
  writeFileSync(join(dir, `${KEY_FILE}.pub`), `${sshPublicLine(publicKey, "compute-bridge")}\n`);
  return publicKey;
}

/** The private key that goes with what the envelope named, if it is ours to name. */
export function ownKey(values: Values, dir: string): string | undefined {
  const given = values.text("ssh-key");
  if (given !== undefined) return given.replace(/\.pub$/, "");
  const made = join(dir, KEY_FILE);
  return existsSync(made) ? made : undefined;
}
