/** White space as Python's `str.isspace` has it, which differs from JavaScript's in U+001C … U+001F, U+0085, U+FEFF. */
const spaces: ReadonlySet<string> = new Set(
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" +
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a",
);

/** Which ends of a text are stripped. */
export type Ends = "both" | "left" | "right";

/** Python's `str.strip`, `lstrip` and `rstrip`. @param characters what to strip; white space if absent */
export function strip(text: string, ends: Ends = "both", characters?: string): string {
  const set = characters === undefined ? spaces : new Set(characters);
  const isStripped = (character: string): boolean => set.has(character);
  let start = 0;
  let end = text.length;
  while (ends !== "right" && start < end) {
    const character = String.fromCodePoint(text.codePointAt(start)!);
    if (!isStripped(character)) break;
    start += character.length;
  }
  while (ends !== "left" && end > start) {
    const character = lastCharacter(text, end);
    if (!isStripped(character)) break;
    end -= character.length;
  }
  return text.slice(start, end);
}

function lastCharacter(text: string, end: number): string {
  const pair = text.slice(Math.max(end - 2, 0), end);
  return /^[\ud800-\udbff][\udc00-\udfff]$/.test(pair) ? pair : text.slice(end - 1, end);
}

/** Python's `str.split()` without a separator: the words, at most `limit` cuts. */
export function splitWords(text: string, limit: number): string[] {
  const words: string[] = [];
  let rest = strip(text, "left");
  while (rest !== "") {
    let end = 0;
    while (end < rest.length && !spaces.has(rest[end]!)) end++;
    if (words.length === limit) return [...words, rest];
    words.push(rest.slice(0, end));
    rest = strip(rest.slice(end), "left");
  }
  return words;
}

/** How often `part` occurs in a text, side by side; it is not empty. */
export function countOf(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}

/** Number of Unicode code points, which is Python's `len`. */
export function codePoints(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(i + 1))) i++;
    count++;
  }
  return count;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}
