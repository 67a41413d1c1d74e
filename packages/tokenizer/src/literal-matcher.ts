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

  /** Walks through `text`: `onText` gets each stretch between matches that is not empty, `onLiteral` each match. */
  scan(text: string, onText: (from: number, to: number) => void, onLiteral: (id: number) => void): void {
    let textStart = 0;
    for (let at = 0; at < text.length; ) {
      const match = this.#firsts[text.charCodeAt(at)] === 1 ? this.#longestAt(text, at) : undefined;
      if (match === undefined) {
        at++;
        continue;
      }
      if (at > textStart) onText(textStart, at);
      onLiteral(match.id);
      at = match.end;
      textStart = at;
    }
    if (text.length > textStart) onText(textStart, text.length);
  }

  #longestAt(text: string, start: number): { id: number; end: number } | undefined {
    let longest: { id: number; end: number } | undefined;
    let node: number | undefined = 0;
    for (let at = start; at < text.length; at++) {
      node = this.#edges.get(node * 65536 + text.charCodeAt(at));
      if (node === undefined) break;
      const id = this.#ends.get(node);
      if (id !== undefined) longest = { id, end: at + 1 };
    }
    return longest;
  }
}
