/** How fast the last steps went; a median, so that a step slowed from outside does not show. */
export class Throughput {
  readonly #window: number;
  readonly #steps: { readonly tokens: number; readonly seconds: number }[] = [];

  /** @param window how many steps count */
  constructor(window = 20) {
    this.#window = window;
  }

  add(tokens: number, seconds: number): void {
    this.#steps.push({ tokens, seconds });
    if (this.#steps.length > this.#window) this.#steps.shift();
  }

  /** Median over the window; 0 before the first step. */
  get tokensPerSecond(): number {
    return median(this.#steps.map(({ tokens, seconds }) => tokens / Math.max(seconds, 1e-9)));
  }

  /** Median over the window, in seconds; 0 before the first step. */
  get secondsPerStep(): number {
    return median(this.#steps.map(({ seconds }) => seconds));
  }
}

function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
