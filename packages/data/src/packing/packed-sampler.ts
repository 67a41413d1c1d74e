import { createHash } from "node:crypto";

import { checkInteger, DataError } from "../data-error.ts";
import { keyOf } from "../keyed-hash.ts";
import type { Batch } from "../sampler/batch.ts";
import { latest } from "../sampler/mixture.ts";
import { permute } from "../sampler/permutation.ts";
import { bestFit } from "./best-fit.ts";
import { packRows, type TrainingExample } from "./pack-rows.ts";

/** Settings of {@link createPackedSampler}. */
export interface PackedSamplerOptions {
  readonly examples: readonly TrainingExample[];
  readonly sequenceLength: number;
  /** Rows of a step. */
  readonly rowsPerStep: number;
  /** Passes over the examples; a part of one counts too. */
  readonly epochs: number;
  readonly seed: number;
  /** Fills what is left of a row. */
  readonly padId: number;
}

/** Where fine-tuning stands in its data, as plain JSON. */
export interface PackedPosition {
  readonly step: number;
  readonly seed: number;
  readonly sequenceLength: number;
  readonly rowsPerStep: number;
  /** Digest of the examples. */
  readonly data: string;
}

/** The order of fine-tuning: batch `step` is a pure function of the examples, the settings and `step`. */
export interface PackedSampler {
  readonly steps: number;
  /** Rows of one pass. */
  readonly rows: number;
  /** Share of the rows' places that hold tokens of examples. */
  readonly fill: number;
  /** Some rows of a step. @throws DataError `wrong-position` past the last step */
  batch(step: number, slice?: { readonly first?: number; readonly count?: number }): Batch;
  /** State from which training goes on at `step`. */
  stateAt(step: number): PackedPosition;
  /** The step at which a state goes on. @throws DataError `wrong-position` if the order would not be the same */
  stepOf(state: PackedPosition): number;
}

/** Makes the order of fine-tuning: examples packed into rows by best fit, once, and the rows shuffled anew for every
 *  pass. Nothing but the packing is stored, and any step is computed directly.
 *  @throws DataError `bad-option`, `empty-corpus` */
export function createPackedSampler(options: PackedSamplerOptions): PackedSampler {
  const { examples, sequenceLength, rowsPerStep, epochs, seed, padId } = options;
  checkInteger("sequenceLength", sequenceLength, 2);
  checkInteger("rowsPerStep", rowsPerStep, 1);
  checkInteger("seed", seed, 0);
  if (!(Number.isFinite(epochs) && epochs > 0)) {
    throw new DataError("bad-option", `epochs: expected a number above 0, got ${epochs}`, { epochs });
  }
  if (examples.length === 0) throw new DataError("empty-corpus", "expected at least one example to train on, got none");
  const packed = bestFit(examples.map(({ ids }) => ids.length), sequenceLength);
  const rows = packed.length;
  const steps = Math.max(1, Math.ceil((epochs * rows) / rowsPerStep));
  const tokens = examples.reduce((sum, { ids }) => sum + Math.min(ids.length, sequenceLength), 0);
  const key = latest((epoch) => keyOf("packed", seed, epoch));
  const data = digestOf(examples);
  const rowAt = (sample: number): readonly number[] => {
    const epoch = Math.floor(sample / rows);
    return packed[permute(sample - epoch * rows, rows, key(epoch))]!;
  };
  const stateAt = (step: number): PackedPosition => ({ step, seed, sequenceLength, rowsPerStep, data });
  return {
    steps,
    rows,
    fill: tokens / (rows * sequenceLength),
    batch: (step, { first = 0, count = rowsPerStep - first } = {}) => {
      if (!(Number.isInteger(step) && step >= 0 && step < steps)) {
        throw new DataError("wrong-position", `step ${step}: expected a step from 0 to ${steps - 1}`, { step, steps });
      }
      checkInteger("first", first, 0, rowsPerStep);
      checkInteger("count", count, 0, rowsPerStep - first);
      const wanted = Array.from({ length: count }, (_, i) => rowAt(step * rowsPerStep + first + i));
      return packRows(wanted.map((row) => row.map((index) => examples[index]!)), sequenceLength, padId);
    },
    stateAt,
    stepOf: (state) => {
      const here = stateAt(state.step);
      const differs = (Object.keys(here) as (keyof PackedPosition)[]).find((name) => here[name] !== state[name]);
      if (differs === undefined && state.step >= 0 && state.step <= steps) return state.step;
      const message =
        `the saved run had ${differs ?? "step"} ${state[differs ?? "step"]}, this one has ${here[differs ?? "step"]}, ` +
        "so its data order cannot go on; resume with the saved settings";
      throw new DataError("wrong-position", message, { saved: state, found: here });
    },
  };
}

function digestOf(examples: readonly TrainingExample[]): string {
  const hash = createHash("sha256");
  for (const { ids, trained } of examples) {
    hash.update(Int32Array.of(ids.length)).update(ids).update(trained);
  }
  return hash.digest("hex");
}
