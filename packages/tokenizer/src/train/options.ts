import { TokenizerError } from "../errors.ts";
import { fixedPieces } from "./trained-model.ts";

/** Fewest and most pieces that can be asked for. */
const SMALLEST_VOCABULARY = 256;
const LARGEST_VOCABULARY = 65_536;
const LONGEST_PIECE = 128;
const LONGEST_SPACE_RUN = 64;
const LONGEST_SPECIAL = 1000;
const MOST_WORDS = 1 << 24;

/** What a vocabulary is to be like; only its size has to be said. */
export interface BpeTrainerOptions {
  /** Pieces, special ones and bytes included, 256 to 65,536. */
  readonly vocabularySize: number;
  /** Characters without a piece become their UTF-8 bytes, by 256 byte pieces. Default true; without it they are the
   *  unknown piece, line feeds too. */
  readonly byteFallback?: boolean;
  /** Every digit of 0 to 9 is a piece of its own. Default true, as in Llama 2. */
  readonly splitDigits?: boolean;
  /** Texts begin with a space that is not there. Default true, as in Llama 2. */
  readonly addDummyPrefix?: boolean;
  /** Spellings of control pieces beside `<unk>`, `<s>` and `</s>`, such as chat markers. Where they occur in the
   *  training text they are cut out. */
  readonly specialTokens?: readonly string[];
  /** Share of the characters of the text that get a piece, the most frequent first, above 0 up to 1. Default 0.99995,
   *  as in Llama 2. */
  readonly characterCoverage?: number;
  /** Characters of the longest piece, 1 to 128. Default 16. */
  readonly maxPieceLength?: number;
  /** Adds a piece for every run of two to this many spaces, up to 64, for text where spaces indent. Default 1: none. */
  readonly longestSpaceRun?: number;
  /** Gives a smaller vocabulary where the text has not enough different pieces, instead of an error. Default false. */
  readonly allowSmaller?: boolean;
  /** Different words that are remembered; when there are more, the rarest half is forgotten. Default 4,000,000. */
  readonly maximumWords?: number;
}

/** Options with the defaults filled in. */
export type TrainingPlan = Required<BpeTrainerOptions>;

/** Fills in the defaults.
 *  @throws TokenizerError `bad-option` if one is out of its range or of another type */
export function planTraining(options: BpeTrainerOptions): TrainingPlan {
  const plan: TrainingPlan = {
    vocabularySize: options.vocabularySize,
    byteFallback: options.byteFallback ?? true,
    splitDigits: options.splitDigits ?? true,
    addDummyPrefix: options.addDummyPrefix ?? true,
    specialTokens: [...(options.specialTokens ?? [])],
    characterCoverage: options.characterCoverage ?? 0.99995,
    maxPieceLength: options.maxPieceLength ?? 16,
    longestSpaceRun: options.longestSpaceRun ?? 1,
    allowSmaller: options.allowSmaller ?? false,
    maximumWords: options.maximumWords ?? 4_000_000,
  };
  requireInteger("vocabularySize", plan.vocabularySize, SMALLEST_VOCABULARY, LARGEST_VOCABULARY);
  requireInteger("maxPieceLength", plan.maxPieceLength, 1, LONGEST_PIECE);
  requireInteger("longestSpaceRun", plan.longestSpaceRun, 1, LONGEST_SPACE_RUN);
  requireInteger("maximumWords", plan.maximumWords, 1000, MOST_WORDS);
  const coverage = plan.characterCoverage;
  if (!(coverage > 0 && coverage <= 1)) throw invalid("characterCoverage", "a share above 0 up to 1", coverage);
  requireSpecialTokens(plan.specialTokens);
  return plan;
}

function requireInteger(option: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw invalid(option, `a whole number of ${least} to ${most}`, value);
}

function requireSpecialTokens(tokens: readonly string[]): void {
  const taken = new Set(fixedPieces([], true).map((piece) => piece.spelling));
  for (const token of tokens) {
    if ([...token].length < 2 || token.length > LONGEST_SPECIAL) {
      throw invalid("specialTokens", `2 to ${LONGEST_SPECIAL} characters in each`, token);
    }
    if (/[\0\u2581\p{Cs}]/u.test(token)) {
      throw invalid("specialTokens", "no null character, U+2581 or lone surrogate", token);
    }
    if (taken.has(token)) throw invalid("specialTokens", "names that differ from each other and from <s>", token);
    taken.add(token);
  }
}

function invalid(option: string, expectation: string, value: unknown): TokenizerError {
  const message = `tokenizer training: ${option}: expected ${expectation}, got ${JSON.stringify(value)}`;
  return new TokenizerError("bad-option", message, { option, value });
}
