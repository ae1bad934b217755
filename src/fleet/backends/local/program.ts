/** A tenant's running shell or command, with or without a terminal. */
import { signal } from "./proc.ts";

export interface Program {
  /** Its exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Resolves when no more output will come. */
  readonly drained: Promise<void>;
  /** To the whole group of the program, while it runs. */
  signal(name: NodeJS.Signals): void;
  resize(columns: number, rows: number): void;
  /** The client is gone. */
  hangUp(): void;
}

/** Not after its end: the number may be another group's by then. */
export function signalGroup(child: Bun.Subprocess, name: NodeJS.Signals): void {
  if (child.exitCode === null && child.signalCode === null) signal(-child.pid, name);
}
