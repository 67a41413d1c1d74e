import { Decoder, openModelFolder, type AdaptedParameters } from "@danu/model";
import { disposeTree, type Device, type Tensor } from "@danu/tensor";

import { InputError } from "../../cli/errors.ts";
import type { DpoRecipe } from "../../recipe/tuning.ts";
import { answerLogProbabilities, type PairTensors } from "./pair-batch.ts";
import type { TuningSource } from "./source.ts";
import { loadWeights } from "./tuned-model.ts";

/** The frozen model that preference tuning holds the policy to. */
export interface ReferenceModel extends Disposable {
  /** Its log-probability of every answer of a batch, f32 `[sequences]`. */
  logProbabilities(batch: PairTensors): Tensor;
}

/** The reference of a recipe: a second model, or the tuned model as it starts.
 *  @param start the tuned model's own weights, of which no second copy is made: those beside an adapter, or all of them
 *    before they are trained
 *  @throws InputError, and the errors of the model folder */
export async function openReference(
  device: Device, { reference, dtype, sequenceLength }: DpoRecipe, { config }: TuningSource,
  start: { readonly decoder: Decoder; readonly weights: AdaptedParameters },
): Promise<ReferenceModel> {
  if (reference.model === null) {
    return {
      logProbabilities: (batch) => answerLogProbabilities(start.decoder, start.weights, batch),
      [Symbol.dispose]: () => undefined,
    };
  }
  await using folder = await openModelFolder(reference.model);
  const { vocabularySize, maxPositions } = folder.config;
  if (vocabularySize !== config.vocabularySize || maxPositions < sequenceLength) {
    throw new InputError(
      `${reference.model}: expected a reference with the model's ${config.vocabularySize} tokens and at least `
        + `${sequenceLength} positions, got ${vocabularySize} and ${maxPositions}`,
    );
  }
  const weights = await loadWeights(device, reference.model, dtype);
  const decoder = new Decoder(device, folder.config, sequenceLength);
  return {
    logProbabilities: (batch) => answerLogProbabilities(decoder, weights, batch),
    [Symbol.dispose]: () => {
      disposeTree(weights);
      decoder[Symbol.dispose]();
    },
  };
}
