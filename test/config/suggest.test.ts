import { expect, test } from "bun:test";
import { nearest } from "../../src/config/suggest.ts";

const KEYS = ["stateDir", "spendPerDay", "spendPerGrant", "port", "pin", "listen", "announce"];

test.each([
  ["state_dir", "stateDir"],
  ["STATEDIR", "stateDir"],
  ["stateDri", "stateDir"],
  ["spendperday", "spendPerDay"],
  ["spendPerGrnat", "spendPerGrant"],
  ["prot", "port"],
  ["lsiten", "listen"],
  ["anounce", "announce"],
])("%s is %s", (word, meant) => {
  expect(nearest(word, KEYS)).toBe(meant);
});

test.each(["", "x", "zebra", "kind", "p".repeat(10_000)])("nothing is near %j", (word) => {
  expect(nearest(word, KEYS)).toBeUndefined();
});
