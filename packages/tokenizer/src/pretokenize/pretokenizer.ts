/** Where the next word of a text ends. */
export interface PreTokenizer {
  /** @param bytes well-formed UTF-8; `start` and `end` lie between characters
   *  @returns one past the last byte of the word that starts at `start`; `start < end` and the result is > `start` */
  next(bytes: Uint8Array, start: number, end: number): number;
}
