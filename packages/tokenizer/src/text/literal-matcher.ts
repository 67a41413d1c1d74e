import { IdBuffer } from "../bpe/id-buffer.ts";

/** A string found in a text. */
export interface Match {
  readonly id: number;
  /** First code unit. */
  readonly start: number;
  /** One past the last code unit. */
  readonly end: number;
}

/** Finds fixed strings in text: leftmost first, the longest among those that start there, none across another. Takes
 *  time proportional to the text, whatever the strings: an automaton of Aho and Corasick 1975, over the strings
 *  reversed, walks the text from its end and so meets at every place the longest string that starts there. */
export class LiteralMatcher {
  readonly #literals: string[] = [];
  readonly #ids: number[] = [];
  /** `[65536]`, 1 for code units that some string ends with. */
  readonly #lasts = new Uint8Array(1 << 16);
  #lazyAutomaton: Automaton | undefined;

  /** @param literals non-empty strings with the ids to report; of equal strings the first counts */
  constructor(literals: Iterable<readonly [literal: string, id: number]>) {
    for (const [literal, id] of literals) {
      this.#literals.push(literal);
      this.#ids.push(id);
      this.#lasts[literal.charCodeAt(literal.length - 1)] = 1;
    }
  }

  /** Whether there are no strings to find. */
  get isEmpty(): boolean {
    return this.#literals.length === 0;
  }

  /** Looks for the strings in `text`, once for the whole of it: notes for every place, from the last to the first, the
   *  longest string that starts there. */
  matchesIn(text: string): Matches {
    if (this.isEmpty) return none;
    const automaton = (this.#lazyAutomaton ??= new Automaton(this.#literals));
    const lasts = this.#lasts;
    let matches: Matches | undefined;
    let node = 0;
    for (let at = text.length - 1; at >= 0; at--) {
      const unit = text.charCodeAt(at);
      if (node === 0 && lasts[unit] === 0) continue;
      node = automaton.step(node, unit);
      const literal = automaton.literalAt(node);
      if (literal >= 0) (matches ??= new Matches(this.#literals, this.#ids)).add(at, literal);
    }
    return matches ?? none;
  }
}

/** The places of one text where some string starts, with the longest that does. */
export class Matches {
  /** In descending order. */
  readonly #starts = new IdBuffer();
  readonly #found = new IdBuffer();
  readonly #literals: readonly string[];
  readonly #ids: readonly number[];
  #left = 0;

  /** @param ids by literal */
  constructor(literals: readonly string[], ids: readonly number[]) {
    this.#literals = literals;
    this.#ids = ids;
  }

  /** Notes a place before all others. */
  add(start: number, literal: number): void {
    this.#starts.push(start);
    this.#found.push(literal);
    this.#left++;
  }

  /** The first match that starts at `from` or after; asked for ascending places. */
  next(from: number): Match | undefined {
    while (this.#left > 0 && this.#starts.values[this.#left - 1]! < from) this.#left--;
    if (this.#left === 0) return undefined;
    const start = this.#starts.values[this.#left - 1]!;
    const literal = this.#found.values[this.#left - 1]!;
    return { id: this.#ids[literal]!, start, end: start + this.#literals[literal]!.length };
  }
}

const none = new Matches([], []);

/** A trie of reversed strings, and for each of its nodes where to go on when no edge fits. Nodes are numbered by depth,
 *  the root is 0. */
class Automaton {
  /** Edges by open addressing: the node at the lower end, or 0 where free. */
  readonly #edges: Int32Array;
  /** By node: the upper end and the code unit of the edge that leads to it. */
  readonly #parents: Int32Array;
  readonly #units: Uint16Array;
  /** By node: the longest proper suffix of its string that is a node too. */
  readonly #fallbacks: Int32Array;
  /** By node: the longest of the strings that end there, or −1. */
  readonly #found: Int32Array;
  #size = 1;
  /** Unforeseeable, so that no file can be made to collide. */
  readonly #salt = (Math.random() * 2 ** 31) | 1;

  constructor(literals: readonly string[]) {
    const capacity = literals.reduce((sum, literal) => sum + literal.length, 1);
    let slots = 16;
    while (slots < capacity * 1.5) slots *= 2;
    this.#edges = new Int32Array(slots);
    this.#parents = new Int32Array(capacity);
    this.#units = new Uint16Array(capacity);
    this.#fallbacks = new Int32Array(capacity);
    this.#found = new Int32Array(capacity).fill(-1);
    this.#addLevels(literals);
    for (let node = 1; node < this.#size; node++) this.#link(node);
  }

  /** The node after one more code unit. */
  step(from: number, unit: number): number {
    for (let node = from; ; node = this.#fallbacks[node]!) {
      const next = this.#child(node, unit);
      if (next > 0) return next;
      if (node === 0) return 0;
    }
  }

  /** Index of the longest string that ends at a node, or −1. */
  literalAt(node: number): number {
    return this.#found[node]!;
  }

  /** Adds one code unit of every string at a time, which numbers the nodes by depth. */
  #addLevels(literals: readonly string[]): void {
    const ends = new Int32Array(literals.length);
    let longer = Int32Array.from(literals, (_, index) => index);
    for (let depth = 1; longer.length > 0; depth++) {
      longer = longer.filter((index) => {
        const literal = literals[index]!;
        ends[index] = this.#addChild(ends[index]!, literal.charCodeAt(literal.length - depth));
        if (literal.length > depth) return true;
        if (this.#found[ends[index]!]! < 0) this.#found[ends[index]!] = index;
        return false;
      });
    }
  }

  /** Finds the fallback of a node once all nodes above it have theirs. */
  #link(node: number): void {
    const parent = this.#parents[node]!;
    if (parent > 0) this.#fallbacks[node] = this.step(this.#fallbacks[parent]!, this.#units[node]!);
    if (this.#found[node]! < 0) this.#found[node] = this.#found[this.#fallbacks[node]!]!;
  }

  #addChild(node: number, unit: number): number {
    const slot = this.#slotOf(node, unit);
    if (this.#edges[slot] === 0) {
      this.#parents[this.#size] = node;
      this.#units[this.#size] = unit;
      this.#edges[slot] = this.#size++;
    }
    return this.#edges[slot]!;
  }

  #child(node: number, unit: number): number {
    return this.#edges[this.#slotOf(node, unit)]!;
  }

  /** Slot of an edge, or the free one where it would be. */
  #slotOf(node: number, unit: number): number {
    const edges = this.#edges;
    const mask = edges.length - 1;
    let hash = Math.imul(Math.imul(node, 0x9e3779b1) ^ unit, this.#salt);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    for (let slot = (hash ^ (hash >>> 13)) & mask; ; slot = (slot + 1) & mask) {
      const child = edges[slot]!;
      if (child === 0 || (this.#parents[child] === node && this.#units[child] === unit)) return slot;
    }
  }
}
