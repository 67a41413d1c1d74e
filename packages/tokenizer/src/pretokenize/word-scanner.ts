import {
  APOSTROPHE,
  asciiClasses,
  CASELESS,
  has,
  LETTERS,
  LOWER,
  MARK,
  NEWLINE,
  NUMBER,
  OTHER,
  setOf,
  SPACE,
  SYMBOLS,
  UPPER,
} from "./classes.ts";
import { contractionEnd, type Contractions } from "./contractions.ts";
import type { PreTokenizer } from "./pretokenizer.ts";
import { classAt, digitEnd, skip, whiteEnd, widthOf } from "./runs.ts";

/** What the patterns of the GPT family differ in. */
export interface WordRules {
  /** Contractions that are words of their own. */
  readonly contractions: Contractions;
  /** What may stand before the letters of a word: a space, or anything but a newline, a letter or a number. */
  readonly lead: "space" | "any";
  /** Whether marks count as letters. */
  readonly marks: boolean;
  /** Whether words end before an upper-case letter that follows a lower-case one. */
  readonly cased: boolean;
  /** Contractions that belong to the word before them; only with `cased`. */
  readonly endings: Contractions;
  /** Most digits in a word. */
  readonly digits: number;
  /** Whether a space may stand before digits. */
  readonly spaceBeforeDigits: boolean;
  /** Whether numbers were cut out before, so that other words see the text end where they begin. */
  readonly digitsApart: boolean;
  /** Whether marks count as symbols where they are not letters already. */
  readonly symbolMarks: boolean;
  /** Classes that may follow symbols in their word. */
  readonly symbolTail: number;
  /** Whether white space ends after its last newline. */
  readonly cutsAfterNewlines: boolean;
}

/** What an ASCII byte may do in a word of letters. */
const BEGINS = 1;
const GOES_ON = 2;
/** The word ends before it, whatever follows. */
const ENDS = 4;

const UPPERS = setOf(UPPER);
const CASELESS_OR_MARK = setOf(CASELESS, MARK);
const LOWER_OR_CASELESS = setOf(LOWER, CASELESS, MARK);

/** Cuts text as the patterns of the GPT family do. Every character is looked at a bounded number of times. */
export class WordScanner implements PreTokenizer {
  readonly #rules: WordRules;
  readonly #letters: number;
  readonly #leads: number;
  readonly #symbols: number;
  readonly #textEnds: number;
  /** `[256]`, of the bits above. */
  readonly #asciiWords: Uint8Array;

  constructor(rules: WordRules) {
    this.#rules = rules;
    this.#letters = rules.marks ? LETTERS | setOf(MARK) : LETTERS;
    this.#symbols = SYMBOLS | setOf(OTHER) | (rules.symbolMarks ? setOf(MARK) : 0);
    this.#leads = rules.lead === "space" ? setOf(SPACE) : ~(this.#letters | setOf(NUMBER, NEWLINE));
    this.#textEnds = rules.digitsApart ? setOf(NUMBER) : 0;
    this.#asciiWords = asciiClasses.map((member) => {
      if (has(LETTERS, member)) return rules.cased && member === UPPER ? BEGINS : BEGINS | GOES_ON;
      return member === 0 || (rules.cased && member === APOSTROPHE) ? 0 : ENDS;
    });
  }

  next(bytes: Uint8Array, start: number, end: number): number {
    const asciiWords = this.#asciiWords;
    let at = bytes[start] === 0x20 ? start + 1 : start;
    if (at < end && (asciiWords[bytes[at]!]! & BEGINS) !== 0) {
      do at++;
      while (at < end && (asciiWords[bytes[at]!]! & GOES_ON) !== 0);
      if (at === end || (asciiWords[bytes[at]!]! & ENDS) !== 0) return at;
    }
    return this.#anyEnd(bytes, start, end);
  }

  #anyEnd(bytes: Uint8Array, start: number, end: number): number {
    const first = classAt(bytes, start);
    if (first === APOSTROPHE) {
      const cut = contractionEnd(bytes, start, end, this.#rules.contractions);
      if (cut > start) return cut;
    }
    const after = start + widthOf(bytes[start]!);
    if (after < end && has(this.#leads, first)) {
      const second = classAt(bytes, after);
      if (has(this.#letters, second)) return this.#letterEnd(bytes, after, end);
      if (first === SPACE) {
        if (has(this.#symbols, second)) return this.#symbolEnd(bytes, after, end);
        if (second === NUMBER && this.#rules.spaceBeforeDigits) return digitEnd(bytes, after, end, this.#rules.digits);
      }
    }
    if (has(this.#letters, first)) return this.#letterEnd(bytes, start, end);
    if (has(this.#symbols, first)) return this.#symbolEnd(bytes, start, end);
    if (first === NUMBER) return digitEnd(bytes, start, end, this.#rules.digits);
    return whiteEnd(bytes, start, end, this.#rules.cutsAfterNewlines, this.#textEnds);
  }

  #letterEnd(bytes: Uint8Array, start: number, end: number): number {
    if (!this.#rules.cased) return skip(bytes, start, end, this.#letters);
    const at = casedEnd(bytes, start, end);
    if (at === end || bytes[at] !== 0x27) return at;
    return contractionEnd(bytes, at, end, this.#rules.endings);
  }

  #symbolEnd(bytes: Uint8Array, start: number, end: number): number {
    const at = skip(bytes, start, end, this.#symbols);
    const tail = this.#rules.symbolTail;
    return tail === 0 ? at : skip(bytes, at, end, tail);
  }
}

/** The end of `upper* lower+`, else of `upper+`, where caseless letters and marks are both upper and lower. With no
 *  lower-case letter after the upper ones, the last caseless one must do as `lower+`. */
function casedEnd(bytes: Uint8Array, start: number, end: number): number {
  let lastCaseless = start;
  let at = start;
  for (;;) {
    at = skip(bytes, at, end, UPPERS);
    if (at === end) break;
    const next = classAt(bytes, at);
    if (next === LOWER) return skip(bytes, at, end, LOWER_OR_CASELESS);
    if (!has(CASELESS_OR_MARK, next)) break;
    at = skip(bytes, at, end, CASELESS_OR_MARK);
    lastCaseless = at;
  }
  return lastCaseless > start ? lastCaseless : at;
}
