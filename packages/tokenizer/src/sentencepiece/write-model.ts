import { ProtobufWriter } from "./write-protobuf.ts";

const BPE = 2;

/** One piece of a model file. */
export interface ModelPiece {
  readonly spelling: string;
  /** Higher scores merge first. */
  readonly score: number;
  /** A value of `Kind`. */
  readonly kind: number;
}

/** What a model file says of itself beside its pieces: sentencepiece's settings of the same names. */
export interface ModelSettings {
  readonly byteFallback: boolean;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly splitDigits: boolean;
  readonly allowWhitespaceOnlyPieces: boolean;
  /** Characters of the longest piece that training allowed. */
  readonly maxPieceLength: number;
  /** Share of the training text's characters that have pieces. */
  readonly characterCoverage: number;
  /** Spellings of the control pieces beside those of `ids`. */
  readonly controlSymbols: readonly string[];
  /** Ids of the pieces `<unk>`, `<s>`, `</s>` and `<pad>`, −1 for none. */
  readonly ids: { readonly unk: number; readonly bos: number; readonly eos: number; readonly pad: number };
}

/** The bytes of a SentencePiece `.model` (protobuf message ModelProto) of type BPE with identity normalisation. Fields
 *  that have the format's default are left out. */
export function writeModel(pieces: readonly ModelPiece[], settings: ModelSettings): Uint8Array {
  const file = new ProtobufWriter();
  for (const { spelling, score, kind } of pieces) {
    const piece = new ProtobufWriter();
    piece.string(1, spelling);
    piece.float(2, score);
    piece.int32(3, kind);
    file.content(1, piece.finish());
  }
  file.content(2, trainerSpec(pieces.length, settings));
  file.content(3, normalizerSpec(settings));
  return file.finish();
}

/** The message TrainerSpec. */
function trainerSpec(vocabularySize: number, settings: ModelSettings): Uint8Array {
  const { ids } = settings;
  const spec = new ProtobufWriter();
  spec.int32(3, BPE);
  spec.int32(4, vocabularySize);
  spec.float(10, settings.characterCoverage);
  spec.int32(20, settings.maxPieceLength);
  spec.boolean(25, settings.splitDigits);
  spec.boolean(26, settings.allowWhitespaceOnlyPieces);
  for (const symbol of settings.controlSymbols) spec.string(30, symbol);
  spec.boolean(35, settings.byteFallback);
  spec.int32(40, ids.unk);
  spec.int32(41, ids.bos);
  spec.int32(42, ids.eos);
  spec.int32(43, ids.pad);
  return spec.finish();
}

/** The message NormalizerSpec. */
function normalizerSpec(settings: ModelSettings): Uint8Array {
  const spec = new ProtobufWriter();
  spec.string(1, "identity");
  spec.boolean(3, settings.addDummyPrefix);
  spec.boolean(4, settings.removeExtraWhitespaces);
  spec.boolean(5, true);
  return spec.finish();
}
