/**
 * The effective configuration, for people (as TOML that loads to the same configuration) and for programs (JSON).
 * Only references to secrets are ever held here, so there is nothing to leave out.
 */
import type { EffectiveSetting } from "./effective.ts";
import type { Loaded } from "./load.ts";
import { originText } from "./problem.ts";

export interface ShowOptions {
  /** Adds where each value came from. */
  readonly origin: boolean;
}

/** Paths are absolute, amounts are text; ends in a line end. */
export function showToml(loaded: Loaded<unknown>, { origin }: ShowOptions): string {
  const lines: string[] = [];
  let table = "";
  for (const setting of loaded.settings) {
    const section = setting.path.slice(0, -1).join(".");
    if (section !== table) lines.push("", `[${section}]`);
    table = section;
    const comment = origin ? `  # ${originText(setting.origin).replace(/\p{Cc}/gu, "?")}` : "";
    lines.push(`${setting.path.at(-1)} = ${tomlValue(setting.value)}${comment}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Nested as in the file; with `origin` every value becomes {value, origin}. */
export function showJson(loaded: Loaded<unknown>, { origin }: ShowOptions): string {
  const root: Record<string, unknown> = {};
  for (const setting of loaded.settings) {
    let table = root;
    for (const key of setting.path.slice(0, -1)) {
      table[key] ??= {};
      table = table[key] as Record<string, unknown>;
    }
    table[setting.path.at(-1) ?? ""] = origin
      ? { value: setting.value, origin: originText(setting.origin) }
      : setting.value;
  }
  return `${JSON.stringify(root, null, 2)}\n`;
}

function tomlValue(value: EffectiveSetting["value"]): string {
  if (typeof value === "string") return tomlText(value);
  if (typeof value === "object") return `[${value.map(tomlValue).join(", ")}]`;
  return String(value);
}

/** A basic string; JSON's escapes are TOML's, except for what JSON leaves bare. */
function tomlText(text: string): string {
  return JSON.stringify(text).replaceAll("\x7f", "\\u007F");
}
