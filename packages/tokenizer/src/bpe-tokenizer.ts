import { type BpeEncoder } from "./bpe/encoder.ts";
import { IdBuffer, RangeBuffer } from "./bpe/id-buffer.ts";
import { Decoder, type LeadingSpace, type Surfaces } from "./decode/decoder.ts";
import { StreamDecoder } from "./decode/stream.ts";
import { TokenizerError } from "./errors.ts";
import type { SentencePieceModel } from "./sentencepiece/model.ts";
import type { TokenizerSettings } from "./settings.ts";
import type { AddedTokens, SpecialPlaces } from "./text/added-tokens.ts";
import type { NormalizedText, Normalizer } from "./text/normalizer.ts";
import { Offsets, Places, toByteOffsets } from "./text/offsets.ts";
import type { DecodeOptions, EncodeOptions, Encoding, OffsetUnit, Tokenizer } from "./tokenizer.ts";

/** Bytes of UTF-8 that one UTF-16 code unit needs at most. */
const BYTES_PER_UNIT = 3;
/** Scratch memory above this many bytes is given back after the call that needed it. */
const KEPT_SCRATCH = 1 << 24;
const SPACE = 0x20;
const utf8 = new TextEncoder();

/** Special ids of a vocabulary, −1 for none, and which of them every text gets. */
interface SpecialIds {
  readonly bosId: number;
  readonly eosId: number;
  readonly unkId: number;
  readonly padId: number;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
}

/** Stretches of text that get a dummy space: none, the first, or every one between added tokens. */
export type SpacedStretches = "none" | "first" | "every";

/** The files that a tokenizer was read from, kept for saving it. */
export type Origin =
  | { readonly format: "sentencepiece"; readonly model: SentencePieceModel; readonly settings: TokenizerSettings }
  | { readonly format: "huggingface"; readonly file: Uint8Array; readonly settings: TokenizerSettings };

/** What a file of any format is turned into. */
export interface TokenizerParts extends SpecialIds {
  readonly origin: Origin;
  readonly vocabularySize: number;
  /** All spellings by id; asked for once. */
  readonly readPieces: () => readonly string[];
  readonly idOf: (piece: string) => number;
  readonly isSpecial: (id: number) => boolean;
  /** Ids that BOS and EOS mean, where they are not `bosId` and `eosId` alone. */
  readonly prefix?: readonly number[] | undefined;
  readonly suffix?: readonly number[] | undefined;
  /** Tokens found in the text as it comes. */
  readonly addedTokens: AddedTokens;
  readonly normalizer: Normalizer;
  /** Which stretches the normalizer may put a dummy space before. */
  readonly spacedStretches: SpacedStretches;
  /** Tokens found in normalized text. */
  readonly normalizedTokens: AddedTokens;
  /** Which parts between `normalizedTokens` get a space, unless they start with one. */
  readonly spacedParts: SpacedStretches;
  /** Whether they get it even then. */
  readonly doublesSpace?: boolean;
  /** What happens to parts before merging, length unchanged. */
  readonly finishPart?: ((part: string) => string) | undefined;
  readonly encoder: BpeEncoder;
  /** Whether a run of unknown ids is one. */
  readonly fusesUnknown: boolean;
  /** Made on first use, because many programs only encode. */
  readonly makeSurfaces: () => Surfaces;
  readonly leadingSpace: LeadingSpace;
}

/** Byte-pair encoding between text and ids: added tokens are cut out, what lies between is normalized and merged. */
export class BpeTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly unkId: number;
  readonly padId: number;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  readonly chatTemplate: string | undefined;
  /** Where it came from; for `saveTokenizer`. */
  readonly origin: Origin;
  readonly #parts: TokenizerParts;
  #pieces: readonly string[] | undefined;
  #lazyDecoder: Decoder | undefined;
  readonly #out = new IdBuffer();
  #bytes = new Uint8Array(0);
  /** `#bytes` after the place of the dummy space; kept, because short texts would spend their time on making it. */
  #bytesAfterSpace = this.#bytes;
  /** Where the ids of a part came from, while offsets are asked for. */
  #ranges: RangeBuffer | undefined;

  constructor(parts: TokenizerParts) {
    this.#parts = parts;
    this.vocabularySize = parts.vocabularySize;
    this.bosId = parts.bosId;
    this.eosId = parts.eosId;
    this.unkId = parts.unkId;
    this.padId = parts.padId;
    this.addsBos = parts.addsBos;
    this.addsEos = parts.addsEos;
    this.chatTemplate = parts.origin.settings.chatTemplate;
    this.origin = parts.origin;
  }

  get pieces(): readonly string[] {
    return (this.#pieces ??= this.#parts.readPieces());
  }

  idOf(piece: string): number {
    return this.#parts.idOf(piece);
  }

  isSpecial(id: number): boolean {
    return this.#parts.isSpecial(id);
  }

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    return this.#run(text, options, undefined);
  }

  encodeWithOffsets(text: string, options: EncodeOptions & { readonly unit?: OffsetUnit } = {}): Encoding {
    const offsets = new Offsets();
    this.#ranges = new RangeBuffer();
    let ids: Int32Array;
    try {
      ids = this.#run(text, options, offsets);
    } finally {
      this.#ranges = undefined;
    }
    const starts = Int32Array.from(offsets.starts);
    const ends = Int32Array.from(offsets.ends);
    if (options.unit === "utf8") toByteOffsets(text, starts, ends);
    return { ids, starts, ends };
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    return this.#decoder.decode(ids, options.skipSpecial ?? true);
  }

  streamDecoder(options: DecodeOptions = {}): StreamDecoder {
    return new StreamDecoder(this.#decoder, options.skipSpecial ?? true);
  }

  get #decoder(): Decoder {
    return (this.#lazyDecoder ??= new Decoder(this.#parts.makeSurfaces(), this.#parts.leadingSpace));
  }

  #run(text: string, options: EncodeOptions, offsets: Offsets | undefined): Int32Array {
    const { maxLength } = options;
    const special = options.parseSpecial === true ? (options.plainRanges ?? "all") : "none";
    const addPrefixSpace = options.addPrefixSpace ?? true;
    if (maxLength !== undefined && text.length > maxLength) throw tooLong(text.length, maxLength);
    const { addedTokens } = this.#parts;
    const out = this.#out;
    out.length = 0;
    if (options.addBos) this.#frame(this.#parts.prefix ?? [this.bosId], "beginning-of-sequence", 0, offsets);
    if (addedTokens.isEmpty(special)) this.#encodeStretch(text, 0, addPrefixSpace, special, offsets);
    else {
      addedTokens.split(
        text,
        special,
        (from, to) => this.#encodeStretch(text.slice(from, to), from, addPrefixSpace || from > 0, special, offsets),
        (id, from, to) => {
          out.push(id);
          offsets?.push(from, to);
        },
      );
    }
    if (options.addEos) this.#frame(this.#parts.suffix ?? [this.eosId], "end-of-sequence", text.length, offsets);
    const ids = out.values.slice(0, out.length);
    if (this.#bytes.length > KEPT_SCRATCH) {
      this.#useScratch(0);
      out.release();
    }
    return ids;
  }

  /** Adds ids that stand for no text. */
  #frame(ids: readonly number[], name: string, at: number, offsets: Offsets | undefined): void {
    for (const id of ids) {
      this.#out.push(required(id, name));
      offsets?.push(at, at);
    }
  }

  /** Encodes text between added tokens. @param at where it starts in the whole text */
  #encodeStretch(
    source: string,
    at: number,
    mayPrefix: boolean,
    special: SpecialPlaces,
    offsets: Offsets | undefined,
  ): void {
    const { normalizer, normalizedTokens, finishPart, spacedStretches, fusesUnknown } = this.#parts;
    const from = this.#out.length;
    const prefix = mayPrefix && isSpaced(spacedStretches, at);
    const aligned = offsets !== undefined || typeof special !== "string";
    const normalized = normalizer.normalize(source, prefix, aligned);
    if (normalizedTokens.isEmpty(special)) {
      const place = normalized.sources === undefined ? at : at + normalized.sources[0]!;
      const part = finishPart === undefined ? normalized.text : finishPart(normalized.text);
      this.#encodePart(part, normalized.spaceBefore || this.#isPartSpaced(part, place, mayPrefix));
      if (offsets !== undefined) this.#notePart(offsets, new Places(normalized, at, 0));
    } else this.#encodeAroundTokens(normalized, at, mayPrefix, special, offsets);
    if (fusesUnknown) this.#joinUnknowns(from, offsets);
  }

  #encodeAroundTokens(
    normalized: NormalizedText,
    at: number,
    mayPrefix: boolean,
    special: SpecialPlaces,
    offsets: Offsets | undefined,
  ): void {
    const whole = normalized.spaceBefore ? ` ${normalized.text}` : normalized.text;
    const shift = normalized.spaceBefore ? -1 : 0;
    const places = new Places(normalized, at, shift);
    const { normalizedTokens, finishPart = (part) => part } = this.#parts;
    normalizedTokens.split(
      whole,
      special,
      (start, end) => {
        const part = finishPart(whole.slice(start, end));
        this.#encodePart(part, this.#isPartSpaced(part, places.startOf(start), mayPrefix));
        if (offsets !== undefined) this.#notePart(offsets, new Places(normalized, at, start + shift));
      },
      (id, start, end) => {
        this.#out.push(id);
        offsets?.push(places.startOf(start), places.endOf(end));
      },
      places,
    );
  }

  #isPartSpaced(part: string, place: number, mayPrefix: boolean): boolean {
    const { spacedParts, doublesSpace } = this.#parts;
    if (!mayPrefix || part === "" || !isSpaced(spacedParts, place)) return false;
    return doublesSpace === true || part.charCodeAt(0) !== SPACE;
  }

  #encodePart(text: string, spaceBefore: boolean): void {
    const room = text.length * BYTES_PER_UNIT + 1;
    if (this.#bytes.length < room) this.#useScratch(room);
    const bytes = this.#bytes;
    bytes[0] = SPACE;
    const end = utf8.encodeInto(text, this.#bytesAfterSpace).written + 1;
    const start = spaceBefore ? 0 : 1;
    if (this.#ranges === undefined) this.#parts.encoder.encode(bytes, start, end, this.#out);
    else this.#parts.encoder.encodeWithRanges(bytes, start, end, this.#out, this.#ranges);
  }

  /** Takes over the ranges of the part that was encoded last. */
  #notePart(offsets: Offsets, places: Places): void {
    offsets.addBytes(this.#ranges!, this.#bytes, 1, places);
    this.#ranges = new RangeBuffer();
  }

  /** A run of unknown ids becomes one. */
  #joinUnknowns(from: number, offsets: Offsets | undefined): void {
    const { unkId } = this;
    const out = this.#out;
    const { values } = out;
    const isJoined = (i: number): boolean => i > from && values[i] === unkId && values[i - 1] === unkId;
    if (offsets !== undefined) offsets.joinRuns(from, out, isJoined);
    let length = from;
    let last = -1;
    for (let i = from; i < out.length; i++) {
      const id = values[i]!;
      if (id !== unkId || last !== unkId) values[length++] = id;
      last = id;
    }
    out.length = length;
  }

  #useScratch(size: number): void {
    this.#bytes = new Uint8Array(size);
    this.#bytesAfterSpace = this.#bytes.subarray(1);
  }
}

function isSpaced(stretches: SpacedStretches, at: number): boolean {
  return stretches === "every" || (stretches === "first" && at === 0);
}

function required(id: number, name: string): number {
  if (id >= 0) return id;
  const message = `tokenizer: expected a model with a ${name} piece, this one has none: encode without it`;
  throw new TokenizerError("missing-special-token", message);
}

function tooLong(length: number, maxLength: number): TokenizerError {
  const message = `tokenizer: expected a text of at most ${maxLength} code units, got ${length}: split it or raise maxLength`;
  return new TokenizerError("text-too-long", message, { length, maxLength });
}
