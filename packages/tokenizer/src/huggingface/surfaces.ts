import type { Surfaces } from "../decode/decoder.ts";
import { byteAlphabet, plainAlphabet } from "./alphabets.ts";
import type { DecoderSteps } from "./decoder.ts";
import { replaced, rewritten, type Spellings } from "./spellings.ts";

const SPACE_SYMBOL = "\u2581";
const SPACE = 0x20;

/** The bytes that each id decodes to. @param pieces spellings by id, empty where an id has none */
export function surfacesOf(steps: DecoderSteps, pieces: Spellings, isSpecial: (id: number) => boolean): Surfaces {
  const size = pieces.offsets.length - 1;
  const { bytes: text, offsets } = rewrittenBy(steps, pieces);
  const first = steps.stripsFirst ? replaced(pieces, SPACE_SYMBOL, "") : { bytes: new Uint8Array(0), offsets: [0] };
  const textEnd = offsets[size]!;
  const bytes = new Uint8Array(textEnd + 256 + first.offsets.at(-1)!);
  bytes.set(text.subarray(0, textEnd));
  for (let byte = 0; byte < 256; byte++) bytes[textEnd + byte] = byte;
  bytes.set(first.bytes.subarray(0, first.offsets.at(-1)), textEnd + 256);
  const spelledRanges = new Uint32Array(size * 2);
  const ranges = new Uint32Array(size * 2);
  const isTransparent = new Uint8Array(size);
  for (let id = 0; id < size; id++) {
    const byte = steps.byteFallback ? byteOf(text, offsets[id]!, offsets[id + 1]!) : -1;
    const start = byte < 0 ? offsets[id]! : textEnd + byte;
    const end = byte < 0 ? offsets[id + 1]! : start + 1;
    spelledRanges[2 * id] = ranges[2 * id] = start;
    spelledRanges[2 * id + 1] = end;
    ranges[2 * id + 1] = isSpecial(id) ? start : end;
    // In the original special tokens are gone before bytes are joined, and so are ids without a piece.
    if (isSpecial(id) || pieces.offsets[id] === pieces.offsets[id + 1]) isTransparent[id] = 1;
  }
  // Spaces at the start are counted, whichever piece they come from.
  const surfaces = { bytes, isTransparent, startsWithSpace: new Uint8Array(size), ranges, spelledRanges };
  if (!steps.stripsFirst) return surfaces;
  const firstRanges = Uint32Array.from(ranges, (_, i) => textEnd + 256 + first.offsets[(i + 1) >> 1]!);
  return { ...surfaces, firstRanges };
}

function rewrittenBy(steps: DecoderSteps, pieces: Spellings): Spellings {
  const size = pieces.offsets.length - 1;
  if (steps.isByteLevel) return rewritten(pieces, pieces.offsets[size]!, decodeCharacters);
  let spellings = pieces;
  for (const [pattern, content] of steps.replacements) spellings = replaced(spellings, pattern, content);
  return steps.separates ? rewritten(spellings, spellings.offsets.at(-1)! + size, putSpace) : spellings;
}

/** A piece in the byte alphabet becomes bytes, any other stays as it is. */
function decodeCharacters(bytes: Uint8Array, start: number, end: number, to: Uint8Array, toStart: number): number {
  const length = byteAlphabet.encode(bytes, start, end, to, toStart);
  return length < 0 ? plainAlphabet.encode(bytes, start, end, to, toStart) : length;
}

function putSpace(bytes: Uint8Array, start: number, end: number, to: Uint8Array, toStart: number): number {
  to[toStart] = SPACE;
  return 1 + plainAlphabet.encode(bytes, start, end, to, toStart + 1);
}

/** The byte that a piece such as `<0x0A>` stands for, or −1. */
function byteOf(bytes: Uint8Array, start: number, end: number): number {
  if (end - start !== 6 || bytes[start] !== 0x3c) return -1;
  const spelled = String.fromCharCode(...bytes.subarray(start, end));
  return /^<0x[0-9A-Fa-f]{2}>$/.test(spelled) ? parseInt(spelled.slice(3, 5), 16) : -1;
}
