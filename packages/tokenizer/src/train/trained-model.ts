import { Kind } from "../sentencepiece/model.ts";
import { type ModelPiece, writeModel } from "../sentencepiece/write-model.ts";
import type { TrainingPlan } from "./options.ts";
import type { Pruning } from "./word-counter.ts";

const SPACE_SYMBOL = "\u2581";
/** Score of runs of spaces, as in Llama 2: every other piece takes its space first. */
const LAST_SCORE = -1e9;
const UNK = "<unk>";
const BOS = "<s>";
const EOS = "</s>";

/** A vocabulary and what it was made from. */
export interface TrainedModel {
  /** A SentencePiece `.model`: `loadTokenizer`, sentencepiece and transformers read it. */
  readonly file: Uint8Array;
  readonly vocabularySize: number;
  /** Pieces of one character. */
  readonly characters: number;
  /** Different characters of the text without a piece. */
  readonly uncoveredCharacters: number;
  /** Bytes of text. */
  readonly bytes: number;
  /** Bytes of the text that are not UTF-8; they were left out. */
  readonly invalidBytes: number;
  /** Different words in memory. */
  readonly words: number;
  /** What was forgotten because there were more than `maximumWords` different words. */
  readonly pruning: Readonly<Pruning>;
}

/** Spellings of the byte pieces, by byte. */
function byteNames(): string[] {
  return Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
}

/** The pieces that no text decides, in sentencepiece's order: `<unk>`, `<s>`, `</s>`, special tokens, bytes. */
export function fixedPieces(specialTokens: readonly string[], byteFallback: boolean): ModelPiece[] {
  return [
    { spelling: UNK, score: 0, kind: Kind.unknown },
    ...[BOS, EOS, ...specialTokens].map((spelling) => ({ spelling, score: 0, kind: Kind.control })),
    ...(byteFallback ? byteNames() : []).map((spelling) => ({ spelling, score: 0, kind: Kind.byte })),
  ];
}

/** The file for a vocabulary: the fixed pieces, what was merged, the characters, and runs of spaces. */
export function modelFile(
  plan: TrainingPlan,
  fixed: readonly ModelPiece[],
  merged: readonly string[],
  characters: readonly number[],
): Uint8Array {
  const learned = [...merged, ...characters.map((codePoint) => String.fromCodePoint(codePoint))];
  const runs = Array.from({ length: plan.longestSpaceRun - 1 }, (_, i) => SPACE_SYMBOL.repeat(i + 2));
  const pieces = [
    ...fixed,
    ...learned.map((spelling, rank) => ({ spelling, score: 0 - rank, kind: Kind.normal })),
    ...runs.map((spelling) => ({ spelling, score: LAST_SCORE, kind: Kind.normal })),
  ];
  return writeModel(pieces, {
    byteFallback: plan.byteFallback,
    addDummyPrefix: plan.addDummyPrefix,
    removeExtraWhitespaces: false,
    splitDigits: plan.splitDigits,
    allowWhitespaceOnlyPieces: plan.longestSpaceRun > 1,
    maxPieceLength: Math.max(plan.maxPieceLength, plan.longestSpaceRun),
    characterCoverage: plan.characterCoverage,
    controlSymbols: plan.specialTokens,
    ids: { unk: 0, bos: 1, eos: 2, pad: -1 },
  });
}
