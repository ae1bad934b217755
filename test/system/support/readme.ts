/** The shell commands of README.md, so that a test runs what the page says. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../../support/vectors.ts";

export interface PageCommand {
  /** As it stands there, a here-document included, without the `&` of a background command. */
  readonly text: string;
  readonly background: boolean;
}

/** The commands of the first shell block under this heading, in order. Throws when there is none. */
export function commandsUnder(heading: string): PageCommand[] {
  const page = readFileSync(join(PROJECT, "README.md"), "utf8");
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  const [, block] = /^```sh\n(.*?)^```$/ms.exec(section ?? "") ?? [];
  if (block === undefined) throw new Error(`README.md has no commands under "${heading}"`);
  return parse(block.split("\n"));
}

function parse(lines: readonly string[]): PageCommand[] {
  const commands: PageCommand[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    if (line === "" || line.startsWith("#")) continue;
    const [, mark] = /<<'(\w+)'$/.exec(line) ?? [];
    const end = mark === undefined ? at : lines.indexOf(mark, at);
    if (end < at) throw new Error(`${line}: its here-document has no end`);
    const text = lines.slice(at, end + 1).join("\n");
    const background = text.endsWith(" &");
    commands.push({ text: background ? text.slice(0, -2) : text, background });
    at = end;
  }
  return commands;
}

/** Replaces what a test cannot take literally. Each `from` must stand in exactly one command, or the page has moved on. */
export function adapt(
  commands: readonly PageCommand[],
  changes: Readonly<Record<string, string>>,
): PageCommand[] {
  let adapted = [...commands];
  for (const [from, to] of Object.entries(changes)) {
    const places = adapted.filter(({ text }) => text.split(from).length === 2);
    if (places.length !== 1)
      throw new Error(`README.md has ${places.length} commands with ${from}`);
    adapted = adapted.map((one) => ({ ...one, text: one.text.replace(from, to) }));
  }
  return adapted;
}
