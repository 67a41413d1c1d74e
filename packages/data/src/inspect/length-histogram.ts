/** Token sequences of a range of lengths. */
export interface LengthBucket {
  /** Least number of tokens, a power of two. */
  readonly from: number;
  /** One more than the greatest. */
  readonly to: number;
  readonly documents: number;
  readonly tokens: number;
}

/** Lengths of token sequences. */
export interface LengthStatistics {
  readonly documents: number;
  readonly tokens: number;
  readonly shortest: number;
  readonly longest: number;
  readonly mean: number;
  /** Lengths by powers of two, empty ranges between included. */
  readonly lengths: readonly LengthBucket[];
}

/** Counts token sequences by length. */
export class LengthHistogram {
  #documents = 0;
  #tokens = 0;
  #shortest = Infinity;
  #longest = 0;
  readonly #counts: { documents: number; tokens: number }[] = [];

  add(length: number): void {
    this.#documents++;
    this.#tokens += length;
    this.#shortest = Math.min(this.#shortest, length);
    this.#longest = Math.max(this.#longest, length);
    const power = Math.floor(Math.log2(Math.max(length, 1)));
    const count = (this.#counts[power] ??= { documents: 0, tokens: 0 });
    count.documents++;
    count.tokens += length;
  }

  statistics(): LengthStatistics {
    const [documents, tokens] = [this.#documents, this.#tokens];
    return {
      documents,
      tokens,
      shortest: documents === 0 ? 0 : this.#shortest,
      longest: this.#longest,
      mean: documents === 0 ? 0 : tokens / documents,
      lengths: this.#buckets(),
    };
  }

  #buckets(): LengthBucket[] {
    const first = this.#counts.findIndex((count) => count !== undefined);
    if (first === -1) return [];
    return Array.from({ length: this.#counts.length - first }, (_, i) => {
      const power = first + i;
      return { from: 2 ** power, to: 2 ** (power + 1), ...(this.#counts[power] ?? { documents: 0, tokens: 0 }) };
    });
  }
}
