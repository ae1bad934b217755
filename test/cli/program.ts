/** The program from source, as a process of its own, to its end. */
import { join } from "node:path";
import { PROJECT } from "../support/vectors.ts";

export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function program(...argv: readonly string[]): Promise<Ended> {
  const child = Bun.spawn([process.execPath, join(PROJECT, "src/main.ts"), ...argv], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [exitCode, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { exitCode, stdout, stderr };
}
