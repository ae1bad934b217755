/** Copies of this project that are installed and built under circumstances a test chooses. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BuildReport } from "../../image/binary.ts";
import { sourceFiles } from "../../image/tree-hash.ts";
import { PROJECT } from "../support/vectors.ts";

/** User and group `nobody` on Debian. */
export const NOBODY = 65534;

export function copyProject(target: string, order: "forwards" | "backwards" = "forwards"): void {
  const files = sourceFiles(PROJECT);
  for (const path of order === "forwards" ? files : files.toReversed()) {
    mkdirSync(join(target, dirname(path)), { recursive: true });
    copyFileSync(join(PROJECT, path), join(target, path));
  }
}

/** `bun install` from the lockfile; a `cacheFolder` of its own makes it a first install. */
export function install(project: string, cacheFolder?: string): void {
  run([process.execPath, "install", "--frozen-lockfile", "--ignore-scripts"], {
    cwd: project,
    env: { ...process.env, ...(cacheFolder && { BUN_INSTALL_CACHE_DIR: cacheFolder }) },
  });
}

export interface BuildCircumstances {
  readonly out: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Octal, e.g. `077`. */
  readonly umask?: string;
  readonly user?: number;
  /** Where the build is started from; the project itself if absent. */
  readonly cwd?: string;
  /** The Bun that builds; the bytes must not depend on where it lies. */
  readonly bun?: string;
}

export function build(project: string, circumstances: BuildCircumstances): BuildReport {
  const { out, env, umask, user, cwd = project, bun = process.execPath } = circumstances;
  const command = [bun, join(project, "image/binary.ts"), "--json", "--out", out];
  const asUser = [`--reuid=${user}`, `--regid=${user}`, "--clear-groups"];
  const shell = ["/bin/sh", "-c", `umask ${umask ?? "022"} && exec "$@"`, "build", ...command];
  const text = run(user === undefined ? shell : ["/usr/bin/setpriv", ...asUser, ...shell], {
    cwd,
    env: env ?? process.env,
  });
  return JSON.parse(text) as BuildReport;
}

/** Standard output; throws with both streams when the command fails. */
export function run(
  command: readonly string[],
  options: { readonly cwd: string; readonly env?: Readonly<Record<string, string | undefined>> },
): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdin: "ignore",
  });
  if (exitCode === 0) return stdout.toString();
  throw new Error(
    `${command.join(" ")}: exit ${exitCode}\n${stdout.toString()}${stderr.toString()}`,
  );
}

/** Gives a whole tree to `user`. Never over hard links into a shared cache: those would change hands too. */
export function giveTo(user: number, path: string): void {
  run(["chown", "-hR", `${user}:${user}`, path], { cwd: "/" });
}

/** Programs that a build must not call: each leaves a trace and fails. */
export function plantDecoys(folder: string, names: readonly string[], trace: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of names) {
    const script = `#!/bin/sh\necho ${name} >> '${trace}'\nexit 1\n`;
    writeFileSync(join(folder, name), script, { mode: 0o755 });
  }
}
