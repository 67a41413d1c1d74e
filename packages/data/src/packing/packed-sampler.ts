import { checkInteger, DataError } from "../data-error.ts";
import type { Batch } from "../sampler/batch.ts";
import { bestFit } from "./best-fit.ts";
import { checkStep, digestOf, shuffled, stepOrder, stepsOf } from "./example-order.ts";
import type { ExamplePosition, StepOrder, TrainingLength } from "./example-order.ts";
import { packRows, type TrainingExample } from "./pack-rows.ts";

/** Settings of {@link createPackedSampler}. */
export interface PackedSamplerOptions {
  readonly examples: readonly TrainingExample[];
  readonly sequenceLength: number;
  /** Rows of a step. */
  readonly rowsPerStep: number;
  readonly length: TrainingLength;
  readonly seed: number;
  /** Fills what is left of a row. */
  readonly padId: number;
}

/** What the order of packed rows follows from. */
export interface PackedSettings {
  readonly [name: string]: number | string;
  readonly seed: number;
  readonly sequenceLength: number;
  readonly rowsPerStep: number;
  /** Digest of the examples. */
  readonly data: string;
}

/** Where fine-tuning stands in its data, as plain JSON. */
export type PackedPosition = ExamplePosition<PackedSettings>;

/** The order of fine-tuning: batch `step` is a pure function of the examples, the settings and `step`. */
export interface PackedSampler extends StepOrder<PackedSettings> {
  /** Rows of one pass. */
  readonly rows: number;
  /** Share of the rows' places that hold tokens of examples. */
  readonly fill: number;
  /** Some rows of a step. @throws DataError `wrong-position` past the last step */
  batch(step: number, slice?: { readonly first?: number; readonly count?: number }): Batch;
}

/** Makes the order of fine-tuning: examples packed into rows by best fit, once, and the rows shuffled anew for every
 *  pass. Nothing but the packing is stored, and any step is computed directly.
 *  @throws DataError `bad-option`, `empty-corpus` */
export function createPackedSampler(options: PackedSamplerOptions): PackedSampler {
  const { examples, sequenceLength, rowsPerStep, length, seed, padId } = options;
  checkInteger("sequenceLength", sequenceLength, 2);
  checkInteger("rowsPerStep", rowsPerStep, 1);
  checkInteger("seed", seed, 0);
  if (examples.length === 0) throw new DataError("empty-corpus", "expected at least one example to train on, got none");
  const packed = packedRows(examples, sequenceLength);
  const rows = packed.length;
  const steps = stepsOf(length, rows, rowsPerStep);
  const tokens = examples.reduce((sum, { ids }) => sum + Math.min(ids.length, sequenceLength), 0);
  const placeOf = shuffled(rows, seed);
  return {
    ...stepOrder({ seed, sequenceLength, rowsPerStep, data: digestOf(examples) }, steps),
    rows,
    fill: tokens / (rows * sequenceLength),
    batch: (step, { first = 0, count = rowsPerStep - first } = {}) => {
      checkStep(step, steps);
      checkInteger("first", first, 0, rowsPerStep);
      checkInteger("count", count, 0, rowsPerStep - first);
      const wanted = Array.from({ length: count }, (_, i) => packed[placeOf(step * rowsPerStep + first + i)]!);
      return packRows(wanted, sequenceLength, padId);
    },
  };
}

/** Rows of examples, packed by best fit. */
function packedRows(examples: readonly TrainingExample[], sequenceLength: number): readonly TrainingExample[][] {
  const rows = bestFit(examples.map(({ ids }) => ids.length), sequenceLength);
  return rows.map((row) => row.map((index) => examples[index]!));
}

/** Batches of packed examples in a fixed order, for validation.
 *  @param rows of a batch; the last may have fewer */
export function* packedBatches(
  examples: readonly TrainingExample[],
  { sequenceLength, rows, padId }: { readonly sequenceLength: number; readonly rows: number; readonly padId: number },
): Generator<Batch, void, undefined> {
  checkInteger("sequenceLength", sequenceLength, 2);
  checkInteger("rows", rows, 1);
  const packed = packedRows(examples, sequenceLength);
  for (let first = 0; first < packed.length; first += rows) {
    yield packRows(packed.slice(first, first + rows), sequenceLength, padId);
  }
}
