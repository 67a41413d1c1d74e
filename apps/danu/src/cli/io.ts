/** Something a command writes text to. */
export interface Output {
  write(text: string): unknown;
  /** A person may be reading: lines can be redrawn and coloured. */
  readonly isTTY?: boolean;
  /** Characters in a line of the terminal. */
  readonly columns?: number;
}

/** Something a command reads text from. */
export interface Input extends NodeJS.ReadableStream {
  /** A person types. */
  readonly isTTY?: boolean;
}

/** What surrounds a command: a process, or a test. */
export interface Io {
  /** What the user says while the command runs. */
  readonly stdin: Input;
  /** Results. */
  readonly stdout: Output;
  /** Errors and notes. */
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}
