import { LiteralMatcher } from "./literal-matcher.ts";

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
}

/** Ranges of a text, in code units. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

const wordEnd = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const wordStart = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
/** Unicode's White_Space, which differs from `\s` by U+0085 and U+FEFF. */
const whiteSpace = /^\p{White_Space}$/u;

/** Splits text at added tokens. */
export class AddedTokens {
  readonly #matcher: LiteralMatcher;
  readonly #byId: ReadonlyMap<number, AddedToken>;
  readonly #onlySpecial: boolean;

  constructor(tokens: readonly AddedToken[]) {
    this.#matcher = new LiteralMatcher(tokens.map(({ content, id }) => [content, id] as const));
    this.#byId = new Map(tokens.map((token) => [token.id, token]));
    this.#onlySpecial = tokens.every((token) => token.special);
  }

  /** Whether no text can contain any of them. @param parseSpecial whether special ones count */
  isEmpty(parseSpecial: boolean): boolean {
    return this.#matcher.isEmpty || (this.#onlySpecial && !parseSpecial);
  }

  /** Walks through `text`: `onText` gets each stretch between tokens that is not empty, `onToken` each token.
   *  @param parseSpecial whether special tokens count  @param plain ranges in which they do not, in ascending order */
  split(
    text: string,
    parseSpecial: boolean,
    plain: readonly TextRange[],
    onText: (from: number, to: number) => void,
    onToken: (id: number, from: number, to: number) => void,
  ): void {
    let textStart = 0;
    let range = 0;
    let match = this.#matcher.find(text, 0);
    for (; match !== undefined; match = this.#matcher.find(text, Math.max(match.end, textStart))) {
      const token = this.#byId.get(match.id)!;
      if (token.special) {
        while (range < plain.length && plain[range]!.end <= match.start) range++;
        const isPlain = range < plain.length && plain[range]!.start < match.end;
        if (!parseSpecial || isPlain) continue;
      }
      if (token.singleWord === true && touchesWord(text, match.start, match.end)) continue;
      const start = token.leftStrip === true ? Math.max(spaceStart(text, match.start), textStart) : match.start;
      const end = token.rightStrip === true ? spaceEnd(text, match.end) : match.end;
      if (start > textStart) onText(textStart, start);
      onToken(token.id, start, end);
      textStart = end;
    }
    if (text.length > textStart) onText(textStart, text.length);
  }
}

function touchesWord(text: string, start: number, end: number): boolean {
  // Two code units hold the character on either side, whatever it is.
  return wordEnd.test(text.slice(Math.max(start - 2, 0), start)) || wordStart.test(text.slice(end, end + 2));
}

function spaceStart(text: string, start: number): number {
  let at = start;
  while (at > 0 && whiteSpace.test(text[at - 1]!)) at--;
  return at;
}

function spaceEnd(text: string, end: number): number {
  let at = end;
  while (at < text.length && whiteSpace.test(text[at]!)) at++;
  return at;
}
