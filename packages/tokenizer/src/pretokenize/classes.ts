/** What a character is to the patterns; 0 stands for one that nobody looked up yet. */
export const UPPER = 1;
export const LOWER = 2;
/** A letter that is neither, `\p{Lm}` or `\p{Lo}`. */
export const CASELESS = 3;
export const MARK = 4;
export const NUMBER = 5;
/** U+0020 alone. */
export const SPACE = 6;
/** `\r` and `\n`. */
export const NEWLINE = 7;
/** Any other white space. */
export const WHITE = 8;
export const APOSTROPHE = 9;
export const SLASH = 10;
/** Any other punctuation or symbol. */
const SYMBOL = 11;
/** Control, format, private and unassigned characters. */
export const OTHER = 12;
/** Added to the class of a character in the two ranges that DeepSeek's patterns spell out. */
export const CJK = 16;

/** A set of classes: bit `c` is set for each class `c`, and bit `c + CJK` too. */
export function setOf(...classes: readonly number[]): number {
  let set = 0;
  for (const member of classes) set |= (1 << member) | (1 << (member + CJK));
  return set;
}

export const LETTERS: number = setOf(UPPER, LOWER, CASELESS);
export const SYMBOLS: number = setOf(APOSTROPHE, SLASH, SYMBOL);
export const WHITES: number = setOf(SPACE, NEWLINE, WHITE);

/** Whether a set has a class. */
export function has(set: number, member: number): boolean {
  return ((set >>> member) & 1) !== 0;
}

const byCodePoint: ReadonlyMap<number, number> = new Map([
  [0x20, SPACE],
  [0x0a, NEWLINE],
  [0x0d, NEWLINE],
  [0x27, APOSTROPHE],
  [0x2f, SLASH],
]);

// The classes are those of the Unicode version that the JavaScript engine knows, and Hugging Face tokenizers 0.23 has
// those of Unicode 16: characters newer than either may be cut otherwise. Between 16 and 17 these are 4,803 characters,
// and U+0295, which was a lower-case letter.
const byProperty: readonly (readonly [property: RegExp, member: number])[] = [
  // Not `\s`: JavaScript's has U+FEFF and lacks U+0085.
  [/\p{White_Space}/u, WHITE],
  [/[\p{Lu}\p{Lt}]/u, UPPER],
  [/\p{Ll}/u, LOWER],
  [/\p{L}/u, CASELESS],
  [/\p{M}/u, MARK],
  [/\p{N}/u, NUMBER],
  [/[\p{P}\p{S}]/u, SYMBOL],
];

function classify(codePoint: number): number {
  const known = byCodePoint.get(codePoint);
  if (known !== undefined) return known;
  const character = String.fromCodePoint(codePoint);
  const member = byProperty.find(([property]) => property.test(character))?.[1] ?? OTHER;
  const isCjk = (codePoint >= 0x3040 && codePoint <= 0x30ff) || (codePoint >= 0x4e00 && codePoint <= 0x9fa5);
  return isCjk ? member + CJK : member;
}

/** `[0x110000]`, filled as characters occur. */
const classes = new Uint8Array(0x110000);

/** `[256]`, the class of a byte that is a character, 0 for the others. */
export const asciiClasses: Uint8Array = new Uint8Array(256).map((_, byte) => (byte < 0x80 ? classify(byte) : 0));

/** The class of a character. */
export function classOf(codePoint: number): number {
  const known = classes[codePoint]!;
  return known !== 0 ? known : (classes[codePoint] = classify(codePoint));
}
