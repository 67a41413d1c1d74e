import {
  asciiClasses,
  CJK,
  has,
  LETTERS,
  MARK,
  NEWLINE,
  NUMBER,
  OTHER,
  setOf,
  SPACE,
  SYMBOLS,
  WHITE,
  WHITES,
} from "./classes.ts";
import type { PreTokenizer } from "./pretokenizer.ts";
import { classAt, digitEnd, lastBefore, skip, whiteEnd, widthOf } from "./runs.ts";

const WORD = LETTERS | setOf(MARK);
const LEADS = setOf(SPACE, WHITE, OTHER);
const CJKS = -1 << CJK;
const TEXT_ENDS = setOf(NUMBER) | CJKS;
const NEWLINES = setOf(NEWLINE);
const OTHERS = setOf(OTHER);

/** Cuts text as the three patterns of DeepSeek V3 do, one after the other: numbers by threes, then stretches of kana
 *  and ideographs, then words in each stretch of these and of the others as if it were a text of its own. */
export const deepSeek: PreTokenizer = {
  next(bytes, start, end) {
    const first = classAt(bytes, start);
    if (first === NUMBER) return digitEnd(bytes, start, end, 3);
    const stretch = first < CJK ? ~CJKS : CJKS;
    const after = start + widthOf(bytes[start]!);
    const second = after < end ? classAt(bytes, after) : 0;
    if (has(WORD, first) || (has(LEADS, first) && has(WORD & stretch, second))) {
      return skip(bytes, after, end, WORD & stretch);
    }
    if (has(SYMBOLS, first)) {
      const word = bytes[start]! < 0x80 ? asciiWordEnd(bytes, after, end) : after;
      return word > after ? word : symbolEnd(bytes, after, end, stretch);
    }
    if (first === SPACE && has(SYMBOLS & stretch, second)) return symbolEnd(bytes, after, end, stretch);
    if (has(WHITES, first)) return whiteEnd(bytes, start, end, true, TEXT_ENDS);
    return unmatchedEnd(bytes, after, end, stretch);
  },
};

function asciiWordEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && has(LETTERS, asciiClasses[bytes[at]!]!)) at++;
  return at;
}

function symbolEnd(bytes: Uint8Array, start: number, end: number, stretch: number): number {
  return skip(bytes, skip(bytes, start, end, SYMBOLS & stretch), end, NEWLINES & stretch);
}

/** No pattern matches control, format and unassigned characters, except that one may lead a word. */
function unmatchedEnd(bytes: Uint8Array, start: number, end: number, stretch: number): number {
  const run = skip(bytes, start, end, OTHERS & stretch);
  const leads = run > start && run < end && has(WORD & stretch, classAt(bytes, run));
  return leads ? lastBefore(bytes, run) : run;
}
