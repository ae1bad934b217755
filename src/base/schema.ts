/**
 * TypeBox (the schema library Elysia speaks) for config, wire and HTTP. Objects refuse unknown keys unless a
 * schema says otherwise, and failures name the path, what was expected and what stood there.
 */
import { type Static, type TObject, type TProperties, type TSchema, Type } from "@sinclair/typebox";
import { type TypeCheck, TypeCompiler, type ValueErrorIterator } from "@sinclair/typebox/compiler";
import type { Bytes32 } from "./bytes.ts";
import { decodeCanonical } from "./canonical.ts";
import { BridgeError } from "./errors.ts";

/** An object with exactly these keys. */
export function strictObject<P extends TProperties>(properties: P): TObject<P> {
  return Type.Object(properties, { additionalProperties: false });
}

export function byteString(length: number): ReturnType<typeof Type.Uint8Array> {
  return Type.Uint8Array({ minByteLength: length, maxByteLength: length });
}

/** 32 bytes, typed as such. */
export const Bytes32Schema = Type.Unsafe<Bytes32>(byteString(32));

/** An integer from `minimum` to `maximum`; the default upper bound is what JavaScript holds exactly. */
export function integer(
  minimum = 0,
  maximum = Number.MAX_SAFE_INTEGER,
): ReturnType<typeof Type.Integer> {
  return Type.Integer({ minimum, maximum });
}

/** One of a closed list of strings. */
export function oneOf<const T extends readonly string[]>(
  values: T,
): ReturnType<typeof Type.Unsafe<T[number]>> {
  return Type.Unsafe<T[number]>(Type.Union(values.map((value) => Type.Literal(value))));
}

export interface Codec<T> {
  /** Throws `wrong-schema` with the path of the first mismatch. */
  check(value: unknown): T;
  /** Bounded, canonical, schema-checked decoding of untrusted bytes. */
  decode(bytes: Uint8Array, bytesMax: number): T;
  errors(value: unknown): ValueErrorIterator;
}

export function codec<S extends TSchema>(schema: S, what: string): Codec<Static<S>> {
  let compiled: TypeCheck<S> | undefined;
  const checker = (): TypeCheck<S> => {
    compiled ??= TypeCompiler.Compile(schema);
    return compiled;
  };
  const check = (value: unknown): Static<S> => {
    if (checker().Check(value)) return value as Static<S>;
    const first = checker().Errors(value).First();
    const path =
      first === undefined || first.path === "" ? what : `${what}${first.path.replaceAll("/", ".")}`;
    throw new BridgeError(
      "wrong-schema",
      `${path}: ${first?.message ?? "does not match its schema"}`,
    );
  };
  return {
    check,
    decode: (bytes, bytesMax) => check(decodeCanonical(bytes, bytesMax)),
    errors: (value) => checker().Errors(value),
  };
}

export { type Static, Type };
