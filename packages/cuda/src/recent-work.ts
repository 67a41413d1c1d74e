const MOST_NAMES = 8;

/** Names of what was enqueued last, for failures that are told of later. */
export class RecentWork {
  readonly #names: string[] = [];

  add(name: string): void {
    if (this.#names.at(-1) !== name) this.#names.push(name);
    if (this.#names.length > MOST_NAMES) this.#names.shift();
  }

  /** The latest last, each once in a row. */
  get names(): readonly string[] {
    return [...this.#names];
  }
}
