import { checkInteger, DataError } from "../data-error.ts";

/** A stretch of training at one sequence length. */
export interface SequenceStage {
  /** Tokens to train on in this stage; rounded up to whole batches. */
  readonly tokens: number;
  /** Tokens in a sequence, T. */
  readonly sequenceLength: number;
}

/** A stage laid out in steps. */
export interface PlannedStage {
  readonly index: number;
  readonly sequenceLength: number;
  /** Sequences in a global batch: `tokensPerBatch / sequenceLength`. */
  readonly sequences: number;
  readonly firstStep: number;
  /** Number of steps. */
  readonly steps: number;
}

/** Lays out stages of (tokens, sequence length) in steps of a constant number of tokens, as Danube trains 700 B tokens
 *  at 2,048, then 100 B each at 4,096, 8,192 and 16,384.
 *  @throws DataError `bad-option` where a length does not divide the batch */
export function planStages(stages: readonly SequenceStage[], tokensPerBatch: number): PlannedStage[] {
  checkInteger("tokensPerBatch", tokensPerBatch, 1, 2 ** 40);
  if (stages.length === 0) {
    throw new DataError("bad-option", "stages: expected at least one of { tokens, sequenceLength }");
  }
  let firstStep = 0;
  return stages.map(({ tokens, sequenceLength }, index) => {
    checkInteger(`stages[${index}].tokens`, tokens, 1);
    checkInteger(`stages[${index}].sequenceLength`, sequenceLength, 1, 2 ** 24);
    if (tokensPerBatch % sequenceLength !== 0) {
      throw new DataError(
        "bad-option",
        `stages[${index}]: a batch of ${tokensPerBatch} tokens is not a whole number of sequences of ` +
          `${sequenceLength}; make tokensPerBatch a multiple of every sequenceLength`,
        { tokensPerBatch, sequenceLength },
      );
    }
    const steps = Math.ceil(tokens / tokensPerBatch);
    const stage = { index, sequenceLength, sequences: tokensPerBatch / sequenceLength, firstStep, steps };
    firstStep += steps;
    return stage;
  });
}
