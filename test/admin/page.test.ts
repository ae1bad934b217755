import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PAGE_POLICY, pageResponse } from "../../src/admin/page.ts";
import { PROJECT } from "../support/vectors.ts";

const html = readFileSync(join(PROJECT, "src/admin/page.html"), "utf8");

/** What HTML parsers take for the contents of these elements: everything up to the first end tag. */
const contents = (element: string): string[] =>
  [...html.matchAll(new RegExp(`<${element}[^>]*>([\\s\\S]*?)</${element}`, "gi"))].map(
    ([, inner]) => inner ?? "",
  );

test("the page is served as it stands in the file, under its policy", async () => {
  const response = pageResponse();
  expect(await response.text()).toBe(html);
  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(response.headers.get("content-security-policy")).toBe(PAGE_POLICY);
});

describe("the policy", () => {
  test("allows the page's own style and script by hash, and no other", () => {
    for (const element of ["script", "style"]) {
      expect(contents(element)).toHaveLength(1);
      const hash = createHash("sha256")
        .update(contents(element)[0] ?? "")
        .digest("base64");
      expect(PAGE_POLICY).toContain(`${element}-src 'sha256-${hash}'`);
    }
    expect(PAGE_POLICY).toStartWith("default-src 'none'; ");
    expect(PAGE_POLICY).not.toMatch(/unsafe|\*|https?:/);
  });

  test("holds for the page: nothing from outside, no inline handler or style attribute", () => {
    const markup = html.replaceAll(/<(script|style)>[\s\S]*?<\/\1>/g, "");
    expect(markup).not.toMatch(/\s(style|on[a-z]+)=/i);
    for (const [, address = ""] of html.matchAll(/\s(?:src|href|action|srcset)="([^"]*)"/g)) {
      expect(address).toMatch(/^(\/(?!\/)|data:image\/svg\+xml,)/);
    }
    expect(contents("style").join("")).not.toMatch(/@import|url\(/);
    expect(contents("script").join("")).not.toMatch(
      /innerHTML|outerHTML|insertAdjacent|eval\(|Function\(/,
    );
  });
});

describe("the script", () => {
  const script = contents("script").join("");

  test("parses, and asks nothing but the public API of this endpoint", () => {
    expect(() => new Bun.Transpiler({ loader: "js" }).transformSync(script)).not.toThrow();
    const asked = [...script.matchAll(/(?:fetch|EventSource)\("([^"]*)"/g)].map(([, path]) => path);
    expect(asked.sort()).toEqual(["/api/v1/events", "/livez"]);
  });

  test("names only elements that are there, and every element with an id once", () => {
    const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id ?? "");
    expect(new Set(ids).size).toBe(ids.length);
    const named = [...script.matchAll(/\b(?:at|set)\(\s*"([^"]+)"/g)].map(([, id]) => id ?? "");
    expect(named.length).toBeGreaterThan(20);
    for (const id of named) expect(ids).toContain(id);
  });
});

test("every section and every table heading has a name for those who do not see it", () => {
  for (const [tag] of html.matchAll(/<section[^>]*>/g)) expect(tag).toContain("aria-labelledby=");
  for (const [tag] of html.matchAll(/<th\b[^>]*>/g)) expect(tag).toContain("scope=");
  expect(html).toContain('<html lang="en">');
});
