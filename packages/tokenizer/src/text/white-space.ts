/** Unicode's White_Space, which differs from `\s` by U+0085 and U+FEFF. */
export const whiteSpace: RegExp = /^\p{White_Space}$/u;
/** All of it but U+0020. */
export const whiteButSpace: RegExp = /^(?! )\p{White_Space}$/u;

/** Start of the white space that ends at `end`, not before `least`. */
export function whiteStart(text: string, end: number, least: number, white: RegExp = whiteSpace): number {
  let at = end;
  while (at > least && white.test(text[at - 1]!)) at--;
  return at;
}

/** End of the white space that starts at `start`. */
export function whiteEnd(text: string, start: number, white: RegExp = whiteSpace): number {
  let at = start;
  while (at < text.length && white.test(text[at]!)) at++;
  return at;
}
