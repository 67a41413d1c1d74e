/** Something a command writes text to. */
export interface Output {
  write(text: string): unknown;
  /** A person may be reading: lines can be redrawn and coloured. */
  readonly isTTY?: boolean;
  /** Characters in a line of the terminal. */
  readonly columns?: number;
}

/** What surrounds a command: a process, or a test. */
export interface Io {
  /** Results. */
  readonly stdout: Output;
  /** Errors and notes. */
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}
