/** What test/run.ts needs of a JUnit report as `bun test` writes it: the files, their tests and how each ended. */

export interface ReportedTest {
  readonly file: string;
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
}

const TEST_CASE = /<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;

export function parseReport(xml: string): ReportedTest[] {
  const tests: ReportedTest[] = [];
  for (const [, attributes = "", body = ""] of xml.matchAll(TEST_CASE)) {
    const failed = body.includes("<failure") || body.includes("<error");
    tests.push({
      file: attribute(attributes, "file"),
      name: attribute(attributes, "name"),
      outcome: failed ? "failed" : body.includes("<skipped") ? "skipped" : "passed",
    });
  }
  return tests;
}

function attribute(attributes: string, name: string): string {
  const value = new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  return value.replace(/&(lt|gt|quot|apos|amp|#x?[0-9a-fA-F]+);/g, (_, entity: string) =>
    decodeEntity(entity),
  );
}

function decodeEntity(entity: string): string {
  if (entity.startsWith("#x")) return String.fromCodePoint(Number.parseInt(entity.slice(2), 16));
  if (entity.startsWith("#")) return String.fromCodePoint(Number(entity.slice(1)));
  return { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" }[entity] ?? "";
}
