import { escapeSpaces, lastHash, SPACE, SPACE_SYMBOL, UNMATCHED_SPACE } from "../bpe/characters.ts";
import { extendHash } from "../bpe/piece-table.ts";

/** How a file spells its pieces, and which bytes the encoder has for them. */
export interface Alphabet {
  /** Writes the encoder's bytes of a spelling in UTF-8, and their hash to `lastHash`: all in one go, because a file is
   *  loaded before anything is compiled. @returns how many, at most as many as it has, or −1 if it has characters that
   *  no text can give */
  encode(from: Uint8Array, start: number, end: number, to: Uint8Array, toStart: number): number;
  /** Writes the spelling of the encoder's bytes. @returns its length, at most three times as many */
  spell(from: Uint8Array, start: number, end: number, to: Uint8Array, toStart: number): number;
}

/** Pieces are text as it stands. */
export const plainAlphabet: Alphabet = { encode: copy, spell: copy };

/** Pieces have `▁` where text has spaces: one byte here, so that text stays as it is. */
export const spaceAlphabet: Alphabet = {
  encode: escapeSpaces,
  spell(from, start, end, to, toStart) {
    let length = toStart;
    for (let at = start; at < end; at++) {
      const byte = from[at]!;
      if (byte !== SPACE) to[length++] = byte === UNMATCHED_SPACE ? SPACE : byte;
      else for (const part of SPACE_SYMBOL) to[length++] = part;
    }
    return length - toStart;
  },
};

/** `[256]` the character that stands for a byte: its own where Latin-1 prints one, else the next from U+0100. */
const byteCharacters = new Uint16Array(256);
/** `[0x144]` the byte that a character stands for, or −1. */
const characterBytes = new Int16Array(0x144).fill(-1);
for (let byte = 0, unprinted = 0x100; byte < 256; byte++) {
  const isPrinted = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  const character = isPrinted ? byte : unprinted++;
  byteCharacters[byte] = character;
  characterBytes[character] = byte;
}

/** Pieces have a character for every byte of text: GPT-2's alphabet. */
export const byteAlphabet: Alphabet = {
  encode(from, start, end, to, toStart) {
    let length = toStart;
    let hash = 0;
    for (let at = start; at < end; at++) {
      const lead = from[at]!;
      // Two bytes are enough for all of the alphabet; those of longer characters give a number past its end.
      const character = lead < 0x80 ? lead : ((lead - 0xc0) << 6) | (from[++at]! & 63);
      const byte = character < characterBytes.length ? characterBytes[character]! : -1;
      if (byte < 0) return -1;
      hash = extendHash(hash, byte);
      to[length++] = byte;
    }
    lastHash[0] = hash;
    return length - toStart;
  },
  spell(from, start, end, to, toStart) {
    let length = toStart;
    for (let at = start; at < end; at++) {
      const character = byteCharacters[from[at]!]!;
      if (character >= 0x80) to[length++] = 0xc0 | (character >> 6);
      to[length++] = character < 0x80 ? character : 0x80 | (character & 63);
    }
    return length - toStart;
  },
};

function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, toStart: number): number {
  let hash = 0;
  for (let at = start; at < end; at++) {
    hash = extendHash(hash, from[at]!);
    to[toStart + at - start] = from[at]!;
  }
  lastHash[0] = hash;
  return end - start;
}
