import { TokenizerError } from "../errors.ts";
import type { Merges } from "./merges.ts";

/** Honest files stay below 100; more means a file made to collide, which would take quadratic time. */
const LONGEST_PROBE = 2000;

/** Hugging Face's rule: a list of pairs that merge, of which the first in the list goes first. A merge has the number
 *  of its place in the list. */
export class PairMerges implements Merges {
  readonly priorities: Int32Array;
  readonly products: Int32Array;
  readonly #lefts: Int32Array;
  readonly #rights: Int32Array;
  /** Open addressing: merge + 1, or 0 where free. */
  readonly #slots: Int32Array;

  /** @param lefts `[n]` symbols  @param rights `[n]`  @param products `[n]`; of a pair listed twice the last counts
   *  @throws TokenizerError `malformed-model` if the pairs were made to collide */
  constructor(lefts: Int32Array, rights: Int32Array, products: Int32Array) {
    this.#lefts = lefts;
    this.#rights = rights;
    this.products = products;
    this.priorities = new Int32Array(lefts.length);
    let slots = 16;
    while (slots < lefts.length * 1.5) slots *= 2;
    this.#slots = new Int32Array(slots);
    for (let merge = 0; merge < lefts.length; merge++) {
      this.priorities[merge] = merge;
      this.#insert(merge);
    }
  }

  find(left: number, right: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = slotOf(left, right) & mask; ; slot = (slot + 1) & mask) {
      const merge = slots[slot]! - 1;
      if (merge < 0 || (this.#lefts[merge] === left && this.#rights[merge] === right)) return merge;
    }
  }

  #insert(merge: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const left = this.#lefts[merge]!;
    const right = this.#rights[merge]!;
    let slot = slotOf(left, right) & mask;
    for (let probes = 0; slots[slot] !== 0; probes++, slot = (slot + 1) & mask) {
      const other = slots[slot]! - 1;
      if (this.#lefts[other] === left && this.#rights[other] === right) break;
      if (probes <= LONGEST_PROBE) continue;
      const message = `tokenizer model: over ${LONGEST_PROBE} merges share one hash: the file was made to be slow`;
      throw new TokenizerError("malformed-model", message);
    }
    slots[slot] = merge + 1;
  }
}

function slotOf(left: number, right: number): number {
  let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}
