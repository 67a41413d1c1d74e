import { BpeEncoder } from "../bpe/encoder.ts";
import { IdBuffer } from "../bpe/id-buffer.ts";
import { Decoder } from "../decode/decoder.ts";
import { StreamDecoder } from "../decode/stream.ts";
import { TokenizerError } from "../errors.ts";
import { LiteralMatcher } from "../literal-matcher.ts";
import type { DecodeOptions, EncodeOptions, Tokenizer } from "../tokenizer.ts";
import { Kind, type SentencePieceModel, spellingOf } from "./model.ts";
import { normalize } from "./normalize.ts";
import { SurfaceTable } from "./surfaces.ts";
import { SPACE, Vocabulary } from "./vocabulary.ts";

/** Bytes of UTF-8 that one UTF-16 code unit needs at most. */
const BYTES_PER_UNIT = 3;
/** Scratch memory above this many bytes is given back after the call that needed it. */
const KEPT_SCRATCH = 1 << 24;
const utf8 = new TextEncoder();

/** A SentencePiece BPE model: the ids of Google's sentencepiece for every text. */
export class SentencePieceTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly unkId: number;
  readonly padId: number;
  readonly #model: SentencePieceModel;
  readonly #vocabulary: Vocabulary;
  readonly #encoder: BpeEncoder;
  readonly #userDefined: LiteralMatcher;
  #special: LiteralMatcher | undefined;
  #pieces: readonly string[] | undefined;
  #lazyDecoder: Decoder | undefined;
  readonly #out = new IdBuffer();
  #bytes = new Uint8Array(0);
  /** `#bytes` after the place of the dummy space; kept, because short texts would spend their time on making it. */
  #bytesAfterSpace = this.#bytes;

  constructor(model: SentencePieceModel) {
    this.#model = model;
    this.#vocabulary = new Vocabulary(model);
    this.#encoder = new BpeEncoder(this.#vocabulary);
    this.#userDefined = new LiteralMatcher(this.#literals([Kind.userDefined], asText));
    this.vocabularySize = model.kinds.length;
    this.unkId = this.#vocabulary.unkId;
    this.bosId = this.#controlId(model.trainer.bosPiece);
    this.eosId = this.#controlId(model.trainer.eosPiece);
    this.padId = this.#controlId(model.trainer.padPiece);
  }

  get pieces(): readonly string[] {
    return (this.#pieces ??= this.#model.spellings.split("\0"));
  }

  idOf(piece: string): number {
    return this.#vocabulary.idOf(piece);
  }

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    const out = this.#out;
    out.length = 0;
    if (options.addBos) out.push(required(this.bosId, "beginning-of-sequence"));
    if (options.parseSpecial) {
      this.#special ??= new LiteralMatcher(this.#literals([Kind.control, Kind.unknown], asSpelled));
      this.#special.scan(
        text,
        (from, to) => this.#encodeText(text.slice(from, to), out),
        (id) => out.push(id),
      );
    } else this.#encodeText(text, out);
    if (options.addEos) out.push(required(this.eosId, "end-of-sequence"));
    const ids = out.values.slice(0, out.length);
    if (this.#bytes.length > KEPT_SCRATCH) {
      this.#useScratch(0);
      out.release();
    }
    return ids;
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    return this.#decoder.decode(ids, options.skipSpecial ?? true);
  }

  streamDecoder(options: DecodeOptions = {}): StreamDecoder {
    return new StreamDecoder(this.#decoder, options.skipSpecial ?? true);
  }

  /** Made on first use, because many programs only encode. */
  get #decoder(): Decoder {
    const { normalizer } = this.#model;
    return (this.#lazyDecoder ??= new Decoder(new SurfaceTable(this.#model, this.#vocabulary), normalizer));
  }

  /** Encodes text between special pieces, each with its own dummy space. */
  #encodeText(source: string, out: IdBuffer): void {
    const from = out.length;
    const { text, spaceBefore } = normalize(source, this.#model.normalizer, this.#model.trainer);
    if (this.#userDefined.isEmpty) this.#encodeSpan(text, spaceBefore, out);
    else {
      const whole = spaceBefore ? ` ${text}` : text;
      this.#userDefined.scan(
        whole,
        (start, end) => this.#encodeSpan(whole.slice(start, end), false, out),
        (id) => out.push(id),
      );
    }
    if (!this.#model.trainer.byteFallback) joinUnknowns(out, from, this.unkId);
  }

  #encodeSpan(text: string, spaceBefore: boolean, out: IdBuffer): void {
    const room = text.length * BYTES_PER_UNIT + 1;
    if (this.#bytes.length < room) this.#useScratch(room);
    this.#bytes[0] = SPACE;
    const { written } = utf8.encodeInto(text, this.#bytesAfterSpace);
    this.#encoder.encode(this.#bytes, spaceBefore ? 0 : 1, written + 1, out);
  }

  #useScratch(size: number): void {
    this.#bytes = new Uint8Array(size);
    this.#bytesAfterSpace = this.#bytes.subarray(1);
  }

  #literals(kinds: readonly number[], spell: (piece: string) => string | undefined): [string, number][] {
    const literals: [string, number][] = [];
    for (let id = 0; id < this.#model.kinds.length; id++) {
      if (!kinds.includes(this.#model.kinds[id]!)) continue;
      const literal = spell(spellingOf(this.#model, id));
      if (literal !== undefined) literals.push([literal, id]);
    }
    return literals;
  }

  #controlId(piece: string): number {
    const id = this.#vocabulary.idOf(piece);
    return id >= 0 && this.#model.kinds[id] === Kind.control ? id : -1;
  }
}

function asSpelled(piece: string): string {
  return piece;
}

/** The text that a piece matches after normalisation, where a space can only stand for `▁`. */
function asText(piece: string): string | undefined {
  return piece.includes(" ") ? undefined : piece.replaceAll("\u2581", " ");
}

/** Without byte fallback a run of unknown characters is one unknown piece. */
function joinUnknowns(out: IdBuffer, from: number, unkId: number): void {
  let length = from;
  for (let i = from; i < out.length; i++) {
    const id = out.values[i]!;
    if (id !== unkId || length === from || out.values[length - 1] !== unkId) out.values[length++] = id;
  }
  out.length = length;
}

function required(id: number, name: string): number {
  if (id >= 0) return id;
  const message = `tokenizer: expected a model with a ${name} piece, this one has none: encode without it`;
  throw new TokenizerError("missing-special-token", message);
}
