/**
 * Loading the configuration of a provider or a committee member: defaults, then the file, then the environment, then
 * flags. Nothing is repaired or guessed, and everything that is wrong is reported at once.
 */
import { dirname, resolve } from "node:path";
import { BridgeError } from "../base/errors.ts";
import { CONFIG_BYTES_MAX } from "../base/limits.ts";
import { codec } from "../base/schema.ts";
import { backendFields, sortBackends } from "./backends.ts";
import {
  type ConfigSource,
  type EffectiveSetting,
  effectiveSettings,
  type LoadOptions,
  type Shape,
} from "./effective.ts";
import { readBounded } from "./files.ts";
import { envName, isOverridable } from "./layers.ts";
import {
  backendSchemas,
  type MemberConfig,
  MemberSchema,
  type ProviderConfig,
  providerSchema,
} from "./schema.ts";
import { fieldsOf } from "./setting.ts";

export interface Loaded<T> {
  readonly config: T;
  /** The name of its source. */
  readonly file: string;
  /** Every setting that has a value and where it came from, in the order of the schema. */
  readonly settings: readonly EffectiveSetting[];
}

/** Throws `config-unreadable`. Its contents are judged on loading. */
export function readConfigFile(path: string): ConfigSource {
  const read = readBounded(path, CONFIG_BYTES_MAX);
  if (!read.ok) {
    throw new BridgeError("config-unreadable", `${path} ${read.problem}`, { fix: read.fix });
  }
  return { name: path, directory: dirname(resolve(path)), text: read.bytes };
}

/** Throws a ConfigError. `regionClasses` is the Compute module's closed list. */
export function loadProviderConfig<const R extends string>(
  source: ConfigSource,
  options: LoadOptions & { readonly regionClasses: readonly [R, ...R[]] },
): Loaded<ProviderConfig<R>> {
  const schema = providerSchema(options.regionClasses);
  const schemas = backendSchemas(options.regionClasses);
  const shape: Shape = {
    fields: fieldsOf(schema),
    sections: ["backends"],
    moreFields: (layers, problems) => backendFields(layers, schemas, problems),
    isForeign: (name) => MEMBER_VARIABLES.has(name),
  };
  const { tree, settings } = effectiveSettings(source, options, shape);
  // The settings were checked one by one; a mismatch here would be a fault of this program.
  const config = codec(schema, source.name).check(sortBackends(tree));
  return { config, file: source.name, settings };
}

/** Throws a ConfigError. */
export function loadMemberConfig(
  source: ConfigSource,
  options: LoadOptions = {},
): Loaded<MemberConfig> {
  const backendVariables = envName(["backends", ""]);
  const shape: Shape = {
    fields: fieldsOf(MemberSchema),
    sections: [],
    moreFields: () => ({ fields: [], judged: new Set() }),
    isForeign: (name) => PROVIDER_VARIABLES.has(name) || name.startsWith(backendVariables),
  };
  const { tree, settings } = effectiveSettings(source, options, shape);
  const config = codec(MemberSchema, source.name).check(tree);
  return { config, file: source.name, settings };
}

// One environment may serve a provider and a member beside it.
const MEMBER_VARIABLES = variablesOf(fieldsOf(MemberSchema));
const PROVIDER_VARIABLES = variablesOf(fieldsOf(providerSchema(["any"])));

function variablesOf(fields: ReturnType<typeof fieldsOf>): ReadonlySet<string> {
  return new Set(fields.filter(isOverridable).map((field) => envName(field.path)));
}
