/** A string found in a text. */
export interface Match {
  readonly id: number;
  /** First code unit. */
  readonly start: number;
  /** One past the last code unit. */
  readonly end: number;
}

/** Finds fixed strings in text: leftmost first, the longest among those that start there. */
export class LiteralMatcher {
  /** `[65536]`, 1 for code units that some string starts with. */
  readonly #firsts = new Uint8Array(1 << 16);
  /** Trie edges: node · 2^16 + code unit → node. Node 0 is the root. */
  readonly #edges = new Map<number, number>();
  /** Trie node → id of the string that ends there. */
  readonly #ends = new Map<number, number>();

  /** @param literals non-empty strings with the ids to report */
  constructor(literals: Iterable<readonly [literal: string, id: number]>) {
    let nodes = 1;
    for (const [literal, id] of literals) {
      this.#firsts[literal.charCodeAt(0)] = 1;
      let node = 0;
      for (let i = 0; i < literal.length; i++) {
        const edge = node * 65536 + literal.charCodeAt(i);
        let child = this.#edges.get(edge);
        if (child === undefined) {
          child = nodes++;
          this.#edges.set(edge, child);
        }
        node = child;
      }
      this.#ends.set(node, id);
    }
  }

  /** Whether there are no strings to find. */
  get isEmpty(): boolean {
    return this.#ends.size === 0;
  }

  /** The first match that starts at `from` or after. */
  find(text: string, from: number): Match | undefined {
    for (let at = from; at < text.length; at++) {
      if (this.#firsts[text.charCodeAt(at)] === 0) continue;
      const match = this.#longestAt(text, at);
      if (match !== undefined) return match;
    }
    return undefined;
  }

  #longestAt(text: string, start: number): Match | undefined {
    let longest: Match | undefined;
    let node: number | undefined = 0;
    for (let at = start; at < text.length; at++) {
      node = this.#edges.get(node * 65536 + text.charCodeAt(at));
      if (node === undefined) break;
      const id = this.#ends.get(node);
      if (id !== undefined) longest = { id, start, end: at + 1 };
    }
    return longest;
  }
}
