import { ByteLiterals } from "./byte-literals.ts";
import { CharacterCounts } from "./character-counts.ts";
import { COMMON, DIGIT, INHERITED, LATIN, ScriptTable } from "./scripts.ts";
import { decodeAt, encodedLength, INCOMPLETE, INVALID } from "./utf8.ts";
import { WordTable } from "./word-table.ts";

/** `▁` inside this folder: one byte. */
export const SPACE = 0x20;
export const SPACE_SYMBOL = 0x2581;
const REPLACEMENT = 0xfffd;
const LINE_FEED = 0x0a;

/** Bytes after which a word ends with the next character, so that no text can make training slow. */
const LONGEST_WORD = 512;
/** Bytes of text looked at together; small enough to stay in a processor's cache. */
const BUFFER_BYTES = 1 << 17;
const BYTES_PER_UNIT = 3;
/** Bytes of all words that are remembered. */
const MOST_WORD_BYTES = 2 ** 30;

/** Kinds of characters that stand in no word of two or more; scripts are numbers above zero. */
const SLOW = 0;
const BLANK = -3;
const CUT = -4;
const SPECIAL = -5;

const utf8 = new TextEncoder();

/** What decides how text falls into words. */
export interface WordRules {
  readonly addDummyPrefix: boolean;
  readonly splitDigits: boolean;
  readonly specialTokens: readonly string[];
  /** Different words that are remembered. */
  readonly maximumWords: number;
}

/** What was forgotten because there were more different words than allowed. */
export interface Pruning {
  /** How often words were forgotten. */
  times: number;
  /** Occurrences of the words that were forgotten. */
  occurrences: number;
  /** No count is short by more than this. */
  largestUndercount: number;
}

/** Cuts text into words and counts them. A word is at most one space and then characters of one script: no piece of
 *  the vocabulary spans two words. */
export class WordCounter {
  readonly words: WordTable = new WordTable();
  /** Characters that stand alone, and those in words that were forgotten. */
  readonly characters: CharacterCounts = new CharacterCounts();
  readonly pruning: Pruning = { times: 0, occurrences: 0, largestUndercount: 0 };
  /** Bytes of text, and those of them that are not UTF-8. */
  bytes = 0;
  invalidBytes = 0;
  readonly #rules: WordRules;
  readonly #scripts: ScriptTable;
  readonly #specials: ByteLiterals;
  /** `[256]` kind of the character that a byte begins, `SLOW` where the bytes after it decide. */
  readonly #kinds: Int16Array;
  /** The same without special tokens. */
  readonly #plainKinds: Int16Array;
  /** Text, and room to read beyond its end. */
  readonly #buffer = new Uint8Array(BUFFER_BYTES + 8);
  readonly #view = new DataView(this.#buffer.buffer);
  /** Bytes at the front of the buffer that begin a word. */
  #held = 0;
  #atStart = true;
  /** A high surrogate whose low one has not come yet. */
  #half = "";
  /** Bytes of the character or special token that `#kindAt` looked at. */
  #length = 0;

  constructor(rules: WordRules) {
    this.#rules = rules;
    this.#scripts = new ScriptTable(rules.splitDigits);
    this.#specials = new ByteLiterals(rules.specialTokens);
    this.#plainKinds = Int16Array.from({ length: 256 }, (_, byte) => kindOfByte(byte, rules.splitDigits));
    this.#kinds = this.#plainKinds.map((kind, byte) => (this.#specials.firsts[byte] === 1 ? SLOW : kind));
  }

  /** Counts the next part of a text. */
  addText(text: string): void {
    const whole = this.#half + text;
    this.#half = isHighSurrogate(whole.charCodeAt(whole.length - 1)) ? whole.slice(-1) : "";
    this.#countUnits(this.#half === "" ? whole : whole.slice(0, -1));
  }

  /** Counts the next part of a text, in UTF-8. */
  addBytes(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      this.#begin();
      const part = bytes.subarray(at, at + BUFFER_BYTES - this.#held);
      this.#buffer.set(part, this.#held);
      at += part.length;
      this.#take(part.length);
    }
  }

  /** Ends the text. */
  endText(): void {
    const half = this.#half;
    this.#half = "";
    this.#countUnits(half);
    this.#count(true);
    this.#atStart = true;
  }

  #countUnits(text: string): void {
    for (let at = 0; at < text.length; ) {
      this.#begin();
      let end = Math.min(text.length, at + Math.floor((BUFFER_BYTES - this.#held) / BYTES_PER_UNIT));
      if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--;
      const { written } = utf8.encodeInto(text.slice(at, end), this.#buffer.subarray(this.#held, BUFFER_BYTES));
      at = end;
      this.#take(written);
    }
  }

  #begin(): void {
    if (this.#atStart && this.#rules.addDummyPrefix) this.#buffer[this.#held++] = SPACE;
    this.#atStart = false;
  }

  #take(length: number): void {
    this.bytes += length;
    this.#held += length;
    this.#count(false);
  }

  /** Counts what is in the buffer, up to a word that may go on. */
  #count(final: boolean): void {
    const done = this.#scan(this.#held, final);
    this.#buffer.copyWithin(0, done, this.#held);
    this.#held -= done;
  }

  /** Counts the words of `buffer[0 … end)`. @returns where the first one begins that bytes after `end` may change */
  #scan(end: number, final: boolean): number {
    const bytes = this.#buffer;
    const kinds = this.#kinds;
    let at = 0;
    while (at < end) {
      const start = at;
      let kind = kinds[bytes[at]!]!;
      if (kind === SLOW) kind = this.#kindAt(at, end, final);
      const spaced = kind === BLANK;
      if (spaced) {
        if (++at === end && !final) return start;
        kind = at === end ? BLANK : kinds[bytes[at]!]!;
        if (kind === SLOW) kind = this.#kindAt(at, end, final);
      }
      if (kind === INCOMPLETE) return start;
      if (kind < 0 || kind === DIGIT) {
        if (spaced) this.characters.add(SPACE_SYMBOL, 1);
        at = this.#passOver(kind, at);
        continue;
      }
      const script = kind;
      const limit = Math.min(end, start + LONGEST_WORD);
      for (;;) {
        while (at < limit && kinds[bytes[at]!] === script) at++;
        if (at >= limit || kinds[bytes[at]!] !== SLOW) break;
        kind = this.#kindAt(at, end, final);
        if (kind === INCOMPLETE) return start;
        if (kind !== script && kind !== INHERITED) break;
        at += this.#length;
      }
      if (at === end && !final) return start;
      if (at - start === 1) this.characters.add(bytes[start]!, 1);
      else if (this.words.count(bytes, this.#view, start, at)) this.#keepWithinLimit();
    }
    return end;
  }

  /** Moves past what stands in no word, and counts it if it is a character. @returns where to go on */
  #passOver(kind: number, at: number): number {
    const bytes = this.#buffer;
    // The second of two spaces may begin a word.
    if (kind === BLANK) return at;
    const length = this.#kinds[bytes[at]!] === SLOW ? this.#length : 1;
    if (kind === DIGIT) this.characters.add(decodeAt(bytes, at, at + length), 1);
    else if (kind === INVALID) this.invalidBytes++;
    else if (kind === SPECIAL && this.#rules.addDummyPrefix) {
      // The text after a special token has a dummy space of its own.
      bytes[at + length - 1] = SPACE;
      return at + length - 1;
    }
    return at + length;
  }

  /** Kind of what begins at a byte that is `SLOW`; its length is left in `#length`. */
  #kindAt(at: number, end: number, final: boolean): number {
    const bytes = this.#buffer;
    const byte = bytes[at]!;
    if (this.#specials.firsts[byte] === 1) {
      this.#length = this.#specials.lengthAt(bytes, at, end, final);
      if (this.#length === INCOMPLETE) return INCOMPLETE;
      if (this.#length > 0) return SPECIAL;
    }
    this.#length = 1;
    if (byte < 0x80) return this.#plainKinds[byte]!;
    const codePoint = decodeAt(bytes, at, end);
    if (codePoint === INCOMPLETE) return final ? INVALID : INCOMPLETE;
    if (codePoint === INVALID) return INVALID;
    this.#length = encodedLength(codePoint);
    if (codePoint === REPLACEMENT) return CUT;
    if (codePoint !== SPACE_SYMBOL) return this.#scripts.scriptOf(codePoint);
    // Text that holds `▁` means a space by it; two bytes that are in no word make room.
    bytes.fill(LINE_FEED, at, at + 2);
    bytes[at + 2] = SPACE;
    return CUT;
  }

  /** Forgets the rarest half of the words, or a little more, when there are too many. */
  #keepWithinLimit(): void {
    const { words, pruning } = this;
    const most = this.#rules.maximumWords;
    if (words.size <= most && words.offsets[words.size]! <= MOST_WORD_BYTES) return;
    const counts = words.counts();
    const sorted = counts.slice().sort();
    const threshold = sorted[sorted.length - 1 - Math.floor(Math.min(most, words.size) / 2)]!;
    pruning.times++;
    pruning.largestUndercount += threshold;
    for (let id = 0; id < words.size; id++) {
      if (counts[id]! > threshold) continue;
      pruning.occurrences += counts[id]!;
      countCharacters(words, id, counts[id]!, this.characters);
    }
    words.prune(counts, threshold);
  }
}

/** Adds the characters of one word to `characters`, `count` times each. */
export function countCharacters(words: WordTable, id: number, count: number, characters: CharacterCounts): void {
  const { blob, offsets } = words;
  const end = offsets[id + 1]!;
  for (let at = offsets[id]!; at < end; ) {
    const codePoint = decodeAt(blob, at, end);
    characters.add(codePoint === SPACE ? SPACE_SYMBOL : codePoint, count);
    at += encodedLength(codePoint);
  }
}

function kindOfByte(byte: number, splitDigits: boolean): number {
  if (byte >= 0x80) return SLOW;
  if (byte === SPACE) return BLANK;
  if (byte < SPACE || byte === 0x7f) return CUT;
  const character = String.fromCharCode(byte);
  if (/[a-z]/i.test(character)) return LATIN;
  return splitDigits && /\d/.test(character) ? DIGIT : COMMON;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}
