/**
 * The page: one static file with its style and script inside, served under a policy that names these two by hash
 * (CSP level 3) and lets nothing else run, load or frame it. It uses the public API and nothing else.
 */
import { createHash } from "node:crypto";
import { must } from "../base/assert.ts";
import html from "./page.html" with { type: "text" };

const text: string = html as unknown as string; // the runtime's types take every .html import for a bundle

export const PAGE_POLICY = [
  "default-src 'none'",
  `script-src ${hashOf("script")}`,
  `style-src ${hashOf("style")}`,
  "img-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export function pageResponse(): Response {
  return new Response(text, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": PAGE_POLICY,
    },
  });
}

/** Of the one element of this name, as a source expression. */
function hashOf(element: "script" | "style"): string {
  const found = new RegExp(`<${element}>([^]*?)</${element}>`).exec(text)?.[1];
  const content = must(found, `the page has a ${element} element`);
  return `'sha256-${createHash("sha256").update(content).digest("base64")}'`;
}
