import { TokenizerError } from "../errors.ts";
import { parseNormalizer, parseTrainer, type NormalizerSpec, type TrainerSpec } from "./specs.ts";
import { ProtobufReader } from "./protobuf.ts";

/** What a piece is, numbered as in sentencepiece_model.proto. */
export const Kind = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Pieces that a model may have. */
const MOST_PIECES = 1 << 20;
/** A piece takes at least a tag and a length, and its spelling as much and a byte. */
const SMALLEST_PIECE_FIELD = 5;
/** Sentencepiece's own limit, in bytes. */
const LONGEST_PIECE = 8000;
const BPE = 2;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A SentencePiece BPE model that passed every check; index `i` of each array is piece `i`. */
export interface SentencePieceModel {
  /** The file, which `starts` and `ends` point into. */
  readonly file: Uint8Array;
  /** First byte of each piece's spelling in `file`. */
  readonly starts: Uint32Array;
  /** One past the last byte of each piece's spelling. */
  readonly ends: Uint32Array;
  /** All spellings, with a null character between two. */
  readonly spellings: string;
  /** Higher scores merge first; finite. */
  readonly scores: Float32Array;
  /** Values of `Kind`; exactly one is unknown. */
  readonly kinds: Uint8Array;
  /** Pieces of another kind than normal, by id: a few hundred among thousands. */
  readonly special: readonly number[];
  readonly trainer: TrainerSpec;
  readonly normalizer: NormalizerSpec;
}

/** Reads and checks a `.model` file (protobuf message ModelProto).
 *  @throws TokenizerError `malformed-model` or `unsupported-model` */
export function parseModel(file: Uint8Array): SentencePieceModel {
  const room = Math.min(Math.floor(file.length / SMALLEST_PIECE_FIELD) + 1, MOST_PIECES);
  const arrays = {
    starts: new Uint32Array(room),
    ends: new Uint32Array(room),
    scores: new Float32Array(room),
    kinds: new Uint8Array(room),
  };
  let count = 0;
  let trainer = parseTrainer(file, 0, 0);
  let normalizer = parseNormalizer(file, 0, 0);
  const fields = new ProtobufReader(file);
  const piece = new ProtobufReader(file);
  while (fields.next()) {
    if (fields.field === 1) {
      if (count === MOST_PIECES) throw malformed(`at most ${MOST_PIECES} pieces, got more`);
      fields.content();
      piece.enter(fields.start, fields.end);
      readPiece(piece, arrays, count++);
    } else if (fields.field === 2) {
      fields.content();
      trainer = parseTrainer(file, fields.start, fields.end);
    } else if (fields.field === 3) {
      fields.content();
      normalizer = parseNormalizer(file, fields.start, fields.end);
    } else if (fields.field === 5) {
      fields.content();
      requireNoDenormalizer(parseNormalizer(file, fields.start, fields.end));
    } else fields.skip();
  }
  if (count === 0) throw malformed("at least one piece, got none: the file is not a SentencePiece model");
  requireBpe(trainer);
  requireEscapedSpaces(normalizer);
  const starts = arrays.starts.slice(0, count);
  const ends = arrays.ends.slice(0, count);
  const scores = arrays.scores.slice(0, count);
  const kinds = arrays.kinds.slice(0, count);
  const spellings = readSpellings(file, starts, ends);
  const special = specialIds(kinds);
  const model = { file, starts, ends, scores, kinds, special, spellings, trainer, normalizer };
  checkKinds(model);
  return model;
}

type PieceArrays = Pick<SentencePieceModel, "starts" | "ends" | "scores" | "kinds">;

function readPiece(fields: ProtobufReader, model: PieceArrays, index: number): void {
  model.kinds[index] = Kind.normal;
  while (fields.next()) {
    if (fields.field === 1) {
      fields.content();
      model.starts[index] = fields.start;
      model.ends[index] = fields.end;
    } else if (fields.field === 2) {
      model.scores[index] = fields.float();
    } else if (fields.field === 3) {
      const kind = fields.int32();
      if (kind < Kind.normal || kind > Kind.byte) throw malformed(`a piece type of 1 to 6, got ${kind}`, index);
      model.kinds[index] = kind;
    } else fields.skip();
  }
  const length = model.ends[index]! - model.starts[index]!;
  if (length === 0) throw malformed("a spelling, got an empty piece", index);
  if (length >= LONGEST_PIECE) throw malformed(`a piece under ${LONGEST_PIECE} bytes, got ${length}`, index);
  if (!Number.isFinite(model.scores[index])) throw malformed(`a finite score, got ${model.scores[index]}`, index);
}

/** The spelling of one piece. */
export function spellingOf(model: Pick<SentencePieceModel, "file" | "starts" | "ends">, id: number): string {
  return utf8.decode(model.file.subarray(model.starts[id], model.ends[id]));
}

/** Decodes all spellings at once, which is ten times as fast as one by one; no piece may contain the separator. */
function readSpellings(file: Uint8Array, starts: Uint32Array, ends: Uint32Array): string {
  let total = 0;
  for (let i = 0; i < starts.length; i++) total += ends[i]! - starts[i]! + 1;
  const joined = new Uint8Array(total - 1);
  for (let i = 0, at = 0; i < starts.length; i++, at++) {
    for (let j = starts[i]!; j < ends[i]!; j++) {
      if (file[j] === 0) throw malformed("a piece without the null character", i);
      joined[at++] = file[j]!;
    }
  }
  try {
    return utf8.decode(joined);
  } catch {
    throw malformed("pieces in UTF-8, got other bytes");
  }
}

function requireBpe(trainer: TrainerSpec): void {
  if (trainer.modelType === BPE) return;
  const name = ["?", "unigram", "bpe", "word", "char"][trainer.modelType] ?? `type ${trainer.modelType}`;
  const message = `tokenizer model: expected model type bpe, got ${name}: only byte-pair models can be read`;
  throw new TokenizerError("unsupported-model", message, { modelType: trainer.modelType });
}

function requireEscapedSpaces(spec: NormalizerSpec): void {
  if (spec.escapeWhitespaces) return;
  const message = `tokenizer model: expected a normalizer with escaped spaces, got "${spec.name}" without`;
  throw new TokenizerError("unsupported-model", message, { name: spec.name });
}

function requireNoDenormalizer(spec: NormalizerSpec): void {
  if (spec.characterMap.length === 0) return;
  const message = `tokenizer model: expected no denormalizer, got "${spec.name}": text cannot be replaced on decoding`;
  throw new TokenizerError("unsupported-model", message, { name: spec.name });
}

function specialIds(kinds: Uint8Array): number[] {
  const special: number[] = [];
  for (let id = 0; id < kinds.length; id++) if (kinds[id] !== Kind.normal) special.push(id);
  return special;
}

function checkKinds(model: SentencePieceModel): void {
  const { kinds, special, trainer, normalizer } = model;
  let unknowns = 0;
  const bytes = new Set<string>();
  for (const i of special) {
    const kind = kinds[i]!;
    const piece = spellingOf(model, i);
    if (kind === Kind.unknown) unknowns++;
    if (kind === Kind.byte) {
      if (!trainer.byteFallback) throw malformed(`no byte pieces without byte_fallback, got ${piece}`, i);
      if (!/^<0x[0-9A-F]{2}>$/.test(piece)) throw malformed(`a byte piece spelled <0x00> to <0xFF>, got ${piece}`, i);
      bytes.add(piece);
    }
    if (kind === Kind.unused) throw unsupported("no unused pieces, got one: its split depends on the text around", i);
    if (kind === Kind.control && [...piece].length === 1) {
      throw unsupported(`control pieces of two or more characters, got "${piece}"`, i);
    }
    if (kind === Kind.userDefined && normalizer.removeExtraWhitespaces && piece.includes(" ")) {
      throw unsupported("no user-defined pieces with spaces where extra spaces are removed", i);
    }
  }
  if (unknowns !== 1) throw malformed(`exactly one unknown piece, got ${unknowns}`);
  if (trainer.byteFallback && bytes.size !== 256) throw malformed(`256 byte pieces, got ${bytes.size}`);
}

function malformed(expectation: string, piece?: number): TokenizerError {
  return failure("malformed-model", expectation, piece);
}

function unsupported(expectation: string, piece: number): TokenizerError {
  return failure("unsupported-model", expectation, piece);
}

function failure(code: "malformed-model" | "unsupported-model", expectation: string, piece?: number): TokenizerError {
  const place = piece === undefined ? "" : ` at piece ${piece}`;
  return new TokenizerError(code, `tokenizer model: expected ${expectation}${place}`, { piece });
}
