import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";

import type { Io } from "../cli/io.ts";

/** Where lines come from. */
export interface LineSource {
  /** Whether a person types the lines. */
  readonly isTerminal: boolean;
  /** The next line, or null at the end: of the input, by Ctrl-C at an empty prompt, or by the signal. */
  next(signal: AbortSignal): Promise<string | null>;
  /** Does something that Ctrl-C on the terminal, or the signal, stops. */
  interruptible<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** Lines known beforehand. */
export function givenLines(lines: readonly string[]): LineSource {
  const left = lines[Symbol.iterator]();
  return {
    isTerminal: false,
    next: async (signal) => (signal.aborted ? null : left.next().value ?? null),
    interruptible: async (signal, work) => work(signal),
  };
}

/** Lines that a person or a pipe gives, one at a time; on a terminal with a prompt, editing and history. */
export class LineReader implements LineSource, Disposable {
  readonly isTerminal: boolean;
  readonly #interface: Interface;
  readonly #lines: string[] = [];
  #ended = false;
  #waiting: ((line: string | null) => void) | null = null;
  #stop: (() => void) | null = null;

  constructor({ stdin, stdout }: Pick<Io, "stdin" | "stdout">, prompt: string) {
    this.isTerminal = stdin.isTTY === true && stdout.isTTY === true;
    const output = new Writable({
      write: (text: Buffer, _, done) => {
        stdout.write(text.toString());
        done();
      },
    });
    this.#interface = createInterface({
      input: stdin,
      terminal: this.isTerminal,
      prompt,
      historySize: 1000,
      ...(this.isTerminal ? { output: Object.assign(output, { columns: stdout.columns ?? 80 }) } : {}),
    });
    this.#interface.on("line", (line) => { this.#give(line); });
    this.#interface.on("close", () => {
      this.#ended = true;
      this.#give(null);
    });
    this.#interface.on("SIGINT", () => { this.#interrupt(); });
  }

  async next(signal: AbortSignal): Promise<string | null> {
    if (signal.aborted) return null;
    const line = this.#lines.shift();
    if (line !== undefined) return line;
    if (this.#ended) return null;
    if (this.isTerminal) this.#interface.prompt();
    return new Promise((resolve) => {
      const stop = (): void => { this.#give(null); };
      signal.addEventListener("abort", stop, { once: true });
      this.#waiting = (given) => {
        signal.removeEventListener("abort", stop);
        resolve(given);
      };
    });
  }

  async interruptible<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#stop = () => { controller.abort(); };
    try {
      return await work(AbortSignal.any([signal, controller.signal]));
    } finally {
      this.#stop = null;
    }
  }

  [Symbol.dispose](): void {
    this.#interface.close();
  }

  #give(line: string | null): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting !== null) waiting(line);
    else if (line !== null) this.#lines.push(line);
  }

  /** Ctrl-C stops what is being done; at the prompt it drops a line begun, and leaves from an empty one. */
  #interrupt(): void {
    if (this.#stop !== null) this.#stop();
    else if (this.#interface.line === "") this.#interface.close();
    else {
      // Ctrl-E, Ctrl-U: as if the line were taken back by hand.
      this.#interface.write(null, { ctrl: true, name: "e" });
      this.#interface.write(null, { ctrl: true, name: "u" });
    }
  }
}
