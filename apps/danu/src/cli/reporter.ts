import type { Io, Output } from "./io.ts";

type Style = "bold" | "dim" | "red" | "green" | "yellow" | "blue" | "magenta" | "cyan";

const codes: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
};

/** Seconds between two plain progress lines in a pipe. */
const plainInterval = 10;

/** Speaks for a command: lines, a progress line redrawn in place on a terminal, or one JSON object at the end. */
export class Reporter {
  readonly json: boolean;
  readonly #result: Output;
  readonly #notes: Output;
  readonly #progress: Output;
  readonly #colours: boolean;
  #drawn = false;
  #lastPlain = -Infinity;

  constructor(io: Io, json: boolean) {
    this.json = json;
    this.#result = io.stdout;
    this.#notes = io.stderr;
    this.#progress = json ? io.stderr : io.stdout;
    this.#colours = this.#progress.isTTY === true && (io.env["NO_COLOR"] ?? "") === "" && io.env["TERM"] !== "dumb";
  }

  /** A line of the command's report. */
  line(text = ""): void {
    this.#erase();
    this.#progress.write(`${text}\n`);
  }

  /** Text as it comes, without a line end. */
  text(text: string): void {
    this.#erase();
    this.#progress.write(text);
  }

  /** A line for the user beside the report, on standard error. */
  note(text: string): void {
    this.#erase();
    this.#notes.write(`danu: ${text}\n`);
  }

  /** How far it is: redrawn in place on a terminal; in a pipe a line now and then.
   *  @param important a line that stays, in any case */
  progress(text: string, important = false): void {
    if (this.#progress.isTTY === true && !important) {
      const width = (this.#progress.columns ?? 80) - 1;
      this.#progress.write(`\r\x1b[2K${text.slice(0, width)}`);
      this.#drawn = true;
      return;
    }
    const now = performance.now() / 1000;
    if (!important && now - this.#lastPlain < plainInterval) return;
    this.#lastPlain = now;
    this.line(text);
  }

  /** The result: printed in JSON with `--json`, else by `otherwise`. */
  result(value: unknown, otherwise: () => void = () => undefined): void {
    this.#erase();
    if (this.json) this.#result.write(`${JSON.stringify(value)}\n`);
    else otherwise();
  }

  /** Text in a style, where the output shows styles. */
  style(style: Style, text: string): string {
    const [on, off] = codes[style];
    return this.#colours ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  }

  #erase(): void {
    if (this.#drawn) this.#progress.write("\r\x1b[2K");
    this.#drawn = false;
  }
}
