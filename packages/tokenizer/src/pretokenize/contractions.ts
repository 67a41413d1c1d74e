/** How a pattern spells `'s 't 're 've 'm 'll 'd`: not at all, in lower case, or in any case. */
export type Contractions = "none" | "lower" | "any";

const S = 0x73;
const T = 0x74;
const M = 0x6d;
const D = 0x64;
const R = 0x72;
const E = 0x65;
const V = 0x76;
const L = 0x6c;
/** The bit that makes an ASCII letter lower-case. */
const CASE = 0x20;

/** The end of the contraction at an apostrophe, `at` if there is none. */
export function contractionEnd(bytes: Uint8Array, at: number, end: number, contractions: Contractions): number {
  if (contractions === "none" || at + 1 >= end) return at;
  const fold = contractions === "any" ? CASE : 0;
  const first = bytes[at + 1]! | fold;
  if (first === S || first === T || first === M || first === D) return at + 2;
  if (at + 2 >= end) return at;
  const second = bytes[at + 2]! | fold;
  if (second === E && (first === R || first === V)) return at + 3;
  if (second === L && first === L) return at + 3;
  // U+017F, the long s, is an s in another case.
  return fold !== 0 && bytes[at + 1] === 0xc5 && bytes[at + 2] === 0xbf ? at + 3 : at;
}
