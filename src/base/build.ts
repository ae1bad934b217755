/**
 * What this program was built from. The build script defines these names; running from source they are not defined,
 * and running from source is development.
 */
declare const CB_DEV: boolean | undefined;
declare const CB_VERSION: string | undefined;
declare const CB_TREE_HASH: string | undefined;

export interface Build {
  readonly version: string;
  /** Hash of the source tree, or "source" when not built. */
  readonly tree: string;
  readonly flavour: "production" | "development";
}

export const build: Build = {
  version: typeof CB_VERSION === "undefined" ? "0.1.0" : CB_VERSION,
  tree: typeof CB_TREE_HASH === "undefined" ? "source" : CB_TREE_HASH,
  flavour: typeof CB_DEV === "undefined" || CB_DEV ? "development" : "production",
};
