/** A tenant's running shell or command, with or without a terminal. */

export interface Program {
  /** Its exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Resolves when no more output will come. */
  readonly drained: Promise<void>;
  /** To the whole group of the program. */
  signal(name: NodeJS.Signals): void;
  resize(columns: number, rows: number): void;
  /** The client is gone. */
  hangUp(): void;
}
