import { expect, test } from "bun:test";
import manifest from "../../package.json";
import { build } from "../../src/base/build.ts";

test("run from source, the program is the development flavour of the version in package.json", () => {
  expect(build).toEqual({ version: manifest.version, tree: "source", flavour: "development" });
});
