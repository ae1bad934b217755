/** The tables `[backends.NAME]`: which keys one may hold depends on its `kind`. */
import type { TObject } from "@sinclair/typebox";
import { BACKENDS_MAX } from "../base/limits.ts";
import { pathText } from "./describe.ts";
import type { MoreFields, Tree } from "./effective.ts";
import { fileOrigin, findValue, isTable, type Layers, valueAt } from "./layers.ts";
import type { Problems } from "./problem.ts";
import { readSetting } from "./read.ts";
import { BACKEND_KINDS } from "./schema.ts";
import { choice, type Field, fieldsOf, type Setting } from "./setting.ts";

const NAME = /^[a-z][a-z0-9-]{0,31}$/;

/** The settings of every backend that the file or a flag names; `schemas` are those of the kinds this version has. */
export function backendFields(
  layers: Layers,
  schemas: Readonly<Record<string, TObject>>,
  problems: Problems,
): MoreFields {
  const fields: Field[] = [];
  const judged = new Set<string>();
  const names = backendNames(layers);
  for (const [index, name] of names.entries()) {
    const path = ["backends", name];
    const schema =
      index < BACKENDS_MAX
        ? schemaOf(layers, name, schemas, problems)
        : refuse(
            layers,
            path,
            `is one more than the ${BACKENDS_MAX} backends that are run`,
            "remove some",
            problems,
          );
    if (schema === undefined) judged.add(name);
    else fields.push(...fieldsOf(schema, path));
  }
  return { fields, judged };
}

/** From the layered tree, an object by name, to the list the schema wants: by priority, then by name. */
export function sortBackends(tree: Tree): Tree {
  const byName = isTable(tree.backends) ? tree.backends : {};
  const backends = Object.entries(byName).map(([name, settings]) => ({
    name,
    ...(settings as { readonly priority: number }),
  }));
  backends.sort((a, b) => a.priority - b.priority || (a.name < b.name ? -1 : 1));
  return { ...tree, backends };
}

function backendNames(layers: Layers): string[] {
  const written = layers.document.table.backends;
  const names = new Set(isTable(written) ? Object.keys(written) : []);
  for (const { path } of layers.flags.values()) {
    const [section, name, key] = path;
    if (section === "backends" && name !== undefined && key !== undefined) names.add(name);
  }
  return [...names];
}

/** undefined when a problem with the backend as a whole was added. */
function schemaOf(
  layers: Layers,
  name: string,
  schemas: Readonly<Record<string, TObject>>,
  problems: Problems,
): TObject | undefined {
  const path = ["backends", name];
  if (!NAME.test(name)) {
    const message = "must be named with 1 to 32 lower-case letters, digits and -, a letter first";
    return refuse(layers, path, message, "write for example [backends.local]", problems);
  }
  const written = valueAt(layers.document.table, path);
  if (written !== undefined && !isTable(written)) {
    return refuse(
      layers,
      path,
      "must be a table",
      `write [${pathText(path)}] and its keys below`,
      problems,
    );
  }
  const setting: Setting = choice(BACKEND_KINDS);
  const field: Field = { path: [...path, "kind"], target: [], setting, required: true };
  const found = findValue(layers, field);
  if (found === undefined) {
    const fix = `write kind = "local" under [${pathText(path)}]`;
    return refuse(layers, field.path, "is required and not set", fix, problems);
  }
  const reading = readSetting("kind", setting, found);
  if (!reading.ok) {
    problems.add(found.origin, pathText(field.path), reading.message, reading.fix);
    return undefined;
  }
  const kind = String(reading.value);
  const schema = Object.hasOwn(schemas, kind) ? schemas[kind] : undefined;
  if (schema === undefined) {
    const fix = `remove the backend; this version has ${Object.keys(schemas).join(", ")}`;
    problems.add(found.origin, pathText(field.path), `${kind} is not in this version`, fix);
  }
  return schema;
}

function refuse(
  layers: Layers,
  path: readonly string[],
  message: string,
  fix: string,
  problems: Problems,
): undefined {
  problems.add(fileOrigin(layers.document, path), pathText(path), message, fix);
}
