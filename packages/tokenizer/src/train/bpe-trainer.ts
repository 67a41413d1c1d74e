import { TokenizerError } from "../errors.ts";
import { chooseCharacters } from "./alphabet.ts";
import { MergeLearner } from "./merge-learner.ts";
import { type BpeTrainerOptions, planTraining, type TrainingPlan } from "./options.ts";
import { SpellingTable } from "./spelling-table.ts";
import { spellWords } from "./word-cells.ts";
import { fixedPieces, modelFile, type TrainedModel } from "./trained-model.ts";
import { WordCounter } from "./word-counter.ts";

/** How far training is. */
export interface TrainingProgress {
  /** Counting the words of texts, or making pieces. */
  readonly phase: "count" | "merge";
  /** Bytes counted, or pieces made. */
  readonly done: number;
  /** Pieces to make; undefined while counting, because where the texts end is not known. */
  readonly total: number | undefined;
}

/** Choices of one training. */
export interface TrainingHooks {
  /** Called for every piece, and by `trainBpe` for every text; what it throws ends the training. */
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Ends the training by throwing the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Makes a byte-pair vocabulary from texts: SentencePiece's BPE with byte fallback (Sennrich et al. 2016; Kudo &
 *  Richardson 2018). Texts are counted as they come, and memory grows with the different words in them. The same texts
 *  give the same file, in whatever order and parts they come; if words had to be forgotten, in the same order. */
export class BpeTrainer {
  readonly #plan: TrainingPlan;
  readonly #counter: WordCounter;

  /** @throws TokenizerError `bad-option` */
  constructor(options: BpeTrainerOptions) {
    this.#plan = planTraining(options);
    this.#counter = new WordCounter(this.#plan);
  }

  /** Bytes of text counted so far. */
  get bytes(): number {
    return this.#counter.bytes;
  }

  /** Counts a text as the tokenizer will see it when it encodes the whole of it: with one dummy space in front.
   *  @param text or its UTF-8 */
  add(text: string | Uint8Array): void {
    this.addPart(text);
    this.endText();
  }

  /** Counts the next part of a text that is too long for memory; parts may end anywhere. */
  addPart(part: string | Uint8Array): void {
    if (typeof part === "string") this.#counter.addText(part);
    else this.#counter.addBytes(part);
  }

  /** Ends a text that came in parts. */
  endText(): void {
    this.#counter.endText();
  }

  /** Makes the vocabulary of all texts added so far; more can be added after, for another.
   *  @throws TokenizerError `vocabulary-size` if the pieces that must be there are more than were asked for, or the
   *  texts hold fewer different pieces */
  train(hooks: TrainingHooks = {}): TrainedModel {
    const steps = this.trainInSteps(hooks);
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
    }
  }

  /** `train`, stopping after every piece, for callers that do other things between. */
  *trainInSteps(hooks: TrainingHooks = {}): Generator<undefined, TrainedModel, undefined> {
    const plan = this.#plan;
    const counter = this.#counter;
    const counts = counter.words.counts();
    const { characters, uncovered } = chooseCharacters(counter, counts, plan.characterCoverage);
    const fixed = fixedPieces(plan.specialTokens, plan.byteFallback);
    const total = plan.vocabularySize - fixed.length - characters.length - (plan.longestSpaceRun - 1);
    if (total < 0) throw tooSmall(plan.vocabularySize, plan.vocabularySize - total, characters.length);
    const spellings = new SpellingTable(plan.maxPieceLength);
    const words = spellWords(counter.words, counts, characters, spellings);
    const learner = new MergeLearner(words, spellings, plan.maxPieceLength);
    const merged: string[] = [];
    for (;;) {
      hooks.signal?.throwIfAborted();
      hooks.onProgress?.({ phase: "merge", done: merged.length, total });
      const best = merged.length < total ? learner.best() : -1;
      if (best < 0) break;
      learner.accept(best);
      merged.push(spellings.textOf(best));
      yield;
    }
    const missing = total - merged.length;
    if (missing > 0 && !plan.allowSmaller) throw tooLarge(plan.vocabularySize, plan.vocabularySize - missing);
    return {
      file: modelFile(plan, fixed, merged, characters),
      vocabularySize: plan.vocabularySize - missing,
      characters: characters.length,
      uncoveredCharacters: uncovered,
      bytes: counter.bytes,
      invalidBytes: counter.invalidBytes,
      words: counter.words.size,
      pruning: { ...counter.pruning },
    };
  }
}

function tooSmall(asked: number, least: number, characters: number): TokenizerError {
  const message =
    `tokenizer training: expected a vocabulary of at least ${least} pieces, ${characters} of them characters of the ` +
    `text, got ${asked}: ask for more, or lower characterCoverage`;
  return new TokenizerError("vocabulary-size", message, { asked, least, characters });
}

function tooLarge(asked: number, most: number): TokenizerError {
  const message =
    `tokenizer training: expected a vocabulary of at most ${most} pieces, because the text has no more, ` +
    `got ${asked}: ask for less, add text, or set allowSmaller`;
  return new TokenizerError("vocabulary-size", message, { asked, most });
}
