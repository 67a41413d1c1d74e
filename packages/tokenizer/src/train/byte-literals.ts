import { INCOMPLETE } from "./utf8.ts";

/** Fixed strings to find in UTF-8, the longest of those that begin at one place. */
export class ByteLiterals {
  /** Trie edges: node · 256 + byte → node. Node 0 is the root. */
  readonly #edges = new Map<number, number>();
  readonly #ends = new Set<number>();
  /** `[256]`, 1 for bytes that some string begins with. */
  readonly firsts: Uint8Array = new Uint8Array(256);

  constructor(literals: readonly string[]) {
    const utf8 = new TextEncoder();
    for (const literal of literals) {
      const bytes = utf8.encode(literal);
      this.firsts[bytes[0]!] = 1;
      let node = 0;
      for (const byte of bytes) {
        const edge = node * 256 + byte;
        if (!this.#edges.has(edge)) this.#edges.set(edge, this.#edges.size + 1);
        node = this.#edges.get(edge)!;
      }
      this.#ends.add(node);
    }
  }

  /** Length in bytes of the string at `bytes[at]`, 0 for none.
   *  @param final whether nothing comes after `end`; if something does and decides, the length is `INCOMPLETE` */
  lengthAt(bytes: Uint8Array, at: number, end: number, final: boolean): number {
    let length = 0;
    let node: number | undefined = 0;
    for (let i = at; i < end; i++) {
      node = this.#edges.get(node * 256 + bytes[i]!);
      if (node === undefined) return length;
      if (this.#ends.has(node)) length = i + 1 - at;
    }
    return final ? length : INCOMPLETE;
  }
}
