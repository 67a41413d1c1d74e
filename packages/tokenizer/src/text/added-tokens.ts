import { LiteralMatcher } from "./literal-matcher.ts";
import type { Places } from "./offsets.ts";
import { whiteButSpace, whiteEnd, whiteSpace, whiteStart } from "./white-space.ts";

/** A token that is found in text by its spelling, before and apart from any merging. */
export interface AddedToken {
  readonly id: number;
  /** Its spelling, not empty. */
  readonly content: string;
  /** Found only where special tokens are asked for, and left out by `decode`. */
  readonly special: boolean;
  /** Takes the white space on its left along. */
  readonly leftStrip?: boolean;
  /** Takes the white space on its right along. */
  readonly rightStrip?: boolean;
  /** Found only where no letter, digit or underscore touches it. */
  readonly singleWord?: boolean;
  /** Found in text as the normalizer of a tokenizer.json leaves it, where its spelling is normalized too. */
  readonly normalized?: boolean;
}

/** Ranges of a text, in code units. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

/** Where special tokens are found: nowhere, everywhere, or outside of ranges in ascending order. */
export type SpecialPlaces = "none" | "all" | readonly TextRange[];

const wordEnd = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const wordStart = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

/** Splits text at added tokens, as Hugging Face tokenizers do. */
export class AddedTokens {
  readonly #matcher: LiteralMatcher;
  readonly #tokens: readonly AddedToken[];
  readonly #onlySpecial: boolean;
  readonly #white: RegExp;

  /** @param spaceIsSymbol whether a space in the text stands for `▁`, which is no white space */
  constructor(tokens: readonly AddedToken[], spaceIsSymbol = false) {
    this.#white = spaceIsSymbol ? whiteButSpace : whiteSpace;
    this.#matcher = new LiteralMatcher(indexed(tokens));
    this.#tokens = tokens;
    this.#onlySpecial = tokens.every((token) => token.special);
  }

  /** Whether no text can contain any of them. */
  isEmpty(special: SpecialPlaces): boolean {
    return this.#matcher.isEmpty || (this.#onlySpecial && special === "none");
  }

  /** Walks through `text`: `onText` gets each stretch between tokens that is not empty, `onToken` each token. A token
   *  that follows one which takes white space along is found inside of that too, and their ranges then overlap.
   *  @param places map code units of `text` to those that `special` counts in; absent where they are the same */
  split(
    text: string,
    special: SpecialPlaces,
    onText: (from: number, to: number) => void,
    onToken: (id: number, from: number, to: number) => void,
    places?: Pick<Places, "startOf" | "endOf">,
  ): void {
    const matches = this.#matcher.matchesIn(text);
    let textStart = 0;
    let white = { start: 0, end: -1 };
    for (let match = matches.next(0); match !== undefined; match = matches.next(match.end)) {
      const token = this.#tokens[match.id]!;
      if (token.special && special !== "all") {
        const [from, to] = [places?.startOf(match.start) ?? match.start, places?.endOf(match.end) ?? match.end];
        if (special === "none" || touchesRange(special, from, to)) continue;
      }
      if (token.singleWord === true && touchesWord(text, match.start, match.end)) continue;
      const start = token.leftStrip === true ? this.#whiteStart(text, match.start, textStart) : match.start;
      let { end } = match;
      if (token.rightStrip === true) {
        // Many tokens may stand inside one run of white space: its end is looked for once.
        if (end < white.start || end > white.end) white = { start: end, end: whiteEnd(text, end, this.#white) };
        ({ end } = white);
      }
      if (start > textStart) onText(textStart, start);
      // A token of white space can be all inside of what the one before it took along.
      if (start < end) onToken(token.id, start, end);
      textStart = end;
    }
    if (text.length > textStart) onText(textStart, text.length);
  }

  #whiteStart(text: string, start: number, least: number): number {
    return Math.max(whiteStart(text, start, least, this.#white), least);
  }
}

/** Contents with their index, one at a time: of tokens there may be very many. */
function* indexed(tokens: readonly AddedToken[]): Generator<readonly [content: string, index: number]> {
  for (const [index, { content }] of tokens.entries()) yield [content, index];
}

function touchesRange(ranges: readonly TextRange[], start: number, end: number): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle]!.end <= start) low = middle + 1;
    else high = middle;
  }
  return low < ranges.length && ranges[low]!.start < end;
}

function touchesWord(text: string, start: number, end: number): boolean {
  // Two code units hold the character on either side, whatever it is.
  return wordEnd.test(text.slice(Math.max(start - 2, 0), start)) || wordStart.test(text.slice(end, end + 2));
}
