import { FIRST_ROOM, grown, randomMultiplier } from "./grown.ts";

/** What stands on the right of a spelling that is one character; its code point stands on the left. */
const NONE = -1;

/** Spellings numbered from 0: characters, and what two spellings make when joined. */
export class SpellingTable {
  /** Number of spellings. */
  size = 0;
  /** Characters of each spelling. */
  lengths: Uint8Array = new Uint8Array(FIRST_ROOM);
  /** By spelling: the numbers of its two parts. */
  #parts = new Int32Array(FIRST_ROOM * 2);
  /** Numbers plus one of joined spellings, by hash of their parts. */
  #slots = new Int32Array(FIRST_ROOM * 2);
  readonly #multiplier = randomMultiplier();
  readonly #characters: Int32Array;
  readonly #otherCharacters: Int32Array;
  readonly #stack: Int32Array;

  /** @param longest spelling in characters, up to 255 */
  constructor(longest: number) {
    this.#characters = new Int32Array(longest);
    this.#otherCharacters = new Int32Array(longest);
    this.#stack = new Int32Array(longest);
  }

  /** Adds a character that is not there yet. @returns its number */
  addCharacter(codePoint: number): number {
    this.#reserve();
    return this.#add(codePoint, NONE, 1);
  }

  /** Number of what two spellings make together, new if need be. */
  join(left: number, right: number): number {
    const parts = this.#parts;
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#slotOf(left, right) & mask;
    for (; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const id = slots[slot]! - 1;
      if (parts[2 * id] === left && parts[2 * id + 1] === right) return id;
    }
    this.#reserve();
    const id = this.#add(left, right, this.lengths[left]! + this.lengths[right]!);
    this.#place(id);
    return id;
  }

  /** The spelling as text. */
  textOf(id: number): string {
    return String.fromCodePoint(...this.#characters.subarray(0, this.#spell(id, this.#characters)));
  }

  /** Order of spellings that occur equally often: the fewer characters first, then the lower code points.
   *  @returns below zero if `a` comes first */
  compare(a: number, b: number): number {
    if (this.lengths[a] !== this.lengths[b]) return this.lengths[a]! - this.lengths[b]!;
    const length = this.#spell(a, this.#characters);
    this.#spell(b, this.#otherCharacters);
    for (let i = 0; i < length; i++) {
      const difference = this.#characters[i]! - this.#otherCharacters[i]!;
      if (difference !== 0) return difference;
    }
    return 0;
  }

  /** Writes the code points of a spelling. @returns how many */
  #spell(id: number, characters: Int32Array): number {
    const parts = this.#parts;
    const stack = this.#stack;
    let waiting = 0;
    let length = 0;
    for (let part = id; ; ) {
      const right = parts[2 * part + 1]!;
      if (right !== NONE) {
        stack[waiting++] = right;
        part = parts[2 * part]!;
        continue;
      }
      characters[length++] = parts[2 * part]!;
      if (waiting === 0) return length;
      part = stack[--waiting]!;
    }
  }

  #slotOf(left: number, right: number): number {
    const mixed = Math.imul(Math.imul(left, this.#multiplier) + right, this.#multiplier);
    return mixed ^ (mixed >>> 15);
  }

  /** Makes room for one more. */
  #reserve(): void {
    if (this.size < this.lengths.length) return;
    const room = this.size * 2;
    this.lengths = grown(this.lengths, room);
    this.#parts = grown(this.#parts, room * 2);
    this.#slots = new Int32Array(room * 2);
    for (let id = 0; id < this.size; id++) if (this.#parts[2 * id + 1] !== NONE) this.#place(id);
  }

  #add(left: number, right: number, length: number): number {
    const id = this.size++;
    this.#parts[2 * id] = left;
    this.#parts[2 * id + 1] = right;
    this.lengths[id] = length;
    return id;
  }

  #place(id: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#slotOf(this.#parts[2 * id]!, this.#parts[2 * id + 1]!) & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = id + 1;
  }
}
