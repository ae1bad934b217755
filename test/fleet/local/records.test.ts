/** Records appear whole, and of several writers one comes first. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LOCAL_RECORD_BYTES_MAX } from "../../../src/base/limits.ts";
import {
  createRecord,
  FILES,
  readRecord,
  writeRecord,
} from "../../../src/fleet/backends/local/records.ts";
import { codeThrownBy } from "../../support/codes.ts";

setDefaultTimeout(60_000);

const RECORDS = join(import.meta.dir, "../../../src/fleet/backends/local/records.ts");

function withFolder<T>(run: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "records-"));
  const done = (): void => rmSync(folder, { recursive: true, force: true });
  const result = run(folder);
  if (result instanceof Promise) return result.finally(done) as T;
  done();
  return result;
}

test("what was written is read, for our user alone, and nothing else is left", () => {
  withFolder((folder) => {
    writeRecord(folder, FILES.ready, { port: 1 });
    writeRecord(folder, FILES.ready, { port: 2 });
    expect(readRecord(folder, FILES.ready)).toEqual({ port: 2 });
    expect(readdirSync(folder)).toEqual([FILES.ready]);
    expect(statSync(join(folder, FILES.ready)).mode & 0o777).toBe(0o600);
    expect(readRecord(folder, FILES.exit)).toBeUndefined();
    expect(readRecord(join(folder, FILES.ready), FILES.exit)).toBeUndefined();
  });
});

test("a record is created once, and stays the first", () => {
  withFolder((folder) => {
    expect(createRecord(folder, FILES.exit, { cause: "ended" })).toBe(true);
    expect(createRecord(folder, FILES.exit, { cause: "lost" })).toBe(false);
    expect(readRecord(folder, FILES.exit)).toEqual({ cause: "ended" });
    expect(readdirSync(folder)).toEqual([FILES.exit]);
  });
});

test("of many processes that create the same record at once, one succeeds", async () => {
  await withFolder(async (folder) => {
    const program = `
      const { createRecord } = await import(${JSON.stringify(RECORDS)});
      while (!(await Bun.file(${JSON.stringify(join(folder, "go"))}).exists())) await Bun.sleep(1);
      process.exit(createRecord(${JSON.stringify(folder)}, "process.json", process.pid) ? 10 : 11);
    `;
    const racers = Array.from({ length: 8 }, () => Bun.spawn([process.execPath, "-e", program]));
    writeFileSync(join(folder, "go"), "");
    const codes = await Promise.all(racers.map((racer) => racer.exited));
    expect(codes.filter((code) => code === 10).length).toBe(1);
    expect(codes.filter((code) => code === 11).length).toBe(7);
    const winner = racers[codes.indexOf(10)];
    expect(readRecord(folder, FILES.process)).toBe(winner?.pid as number);
  });
});

test("a record that is too large or no JSON is refused", () => {
  withFolder((folder) => {
    writeFileSync(join(folder, FILES.usage), "x".repeat(LOCAL_RECORD_BYTES_MAX + 1));
    expect(codeThrownBy(() => readRecord(folder, FILES.usage))).toBe("too-large");
    writeFileSync(join(folder, FILES.usage), '{"usage":');
    expect(codeThrownBy(() => readRecord(folder, FILES.usage))).toBe("malformed");
  });
});
