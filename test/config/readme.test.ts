import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TObject } from "@sinclair/typebox";
import { REGION_CLASSES } from "../../src/coalition/classes.ts";
import { loadMemberConfig, loadProviderConfig } from "../../src/config/load.ts";
import { writtenValue } from "../../src/config/read.ts";
import { backendSchemas, MemberSchema, providerSchema } from "../../src/config/schema.ts";
import { fieldsOf } from "../../src/config/setting.ts";

const README = readFileSync(join(import.meta.dir, "../../src/config/README.md"), "utf8");

/** The first three cells of each setting's row: key, value, default. A fourth says what it means. */
function rows(schema: TObject, path: readonly string[] = []): string[][] {
  return fieldsOf(schema, path).map(({ path, setting, required }) => {
    const fallback =
      setting.default === undefined
        ? required
          ? "required"
          : "not set"
        : `\`${JSON.stringify(writtenValue(setting, setting.default))}\``;
    return [`\`${path.join(".")}\``, setting.expects, fallback];
  });
}

/** The tables of the README, without their heads, as cells. */
const TABLES = README.split("\n\n")
  .filter((part) => part.startsWith("|"))
  .map((part) =>
    part
      .trim()
      .split("\n")
      .slice(2)
      .map((line) =>
        line
          .split("|")
          .slice(1, -1)
          .map((cell) => cell.trim()),
      ),
  );

describe("the README beside the schema", () => {
  const expected = [
    rows(providerSchema(REGION_CLASSES)),
    rows(backendSchemas(REGION_CLASSES).local, ["backends", "NAME"]),
    rows(MemberSchema),
  ];

  test("lists every setting with its default, in three tables", () => {
    expect(TABLES.map((table) => table.map((cells) => cells.slice(0, 3)))).toEqual(expected);
  });

  test("says what each one means", () => {
    for (const cells of TABLES.flat()) expect(cells[3]).toMatch(/^[a-z]/i);
  });

  test("its examples load", () => {
    const [providerText = "", memberText = ""] = README.split("```toml\n")
      .slice(1)
      .map((part) => part.split("```")[0]);
    const source = { name: "README.md", directory: "/" };
    const loaded = loadProviderConfig(
      { ...source, text: providerText },
      { regionClasses: REGION_CLASSES },
    );
    expect(loaded.config.backends).toHaveLength(1);
    expect(loadMemberConfig({ ...source, text: memberText }).config.member.index).toBe(1);
  });
});
