import { createPairSampler, keyOf, pairMicroBatches, type PairSampler, type TrainingPair } from "@danu/data";
import { klEstimate, preferenceObjective, sequenceLengths, type PreferencePairs } from "@danu/dpo";
import { flopsPerToken } from "@danu/model";
import { mul, scope, slice, sum, type Device, type Tensor } from "@danu/tensor";
import { Trainer } from "@danu/train";

import type { DpoRecipe } from "../../recipe/tuning.ts";
import { releaseBatches, uploaded, uploadEach } from "../decoder-batch.ts";
import type { RunParts } from "../run-parts.ts";
import { readPairs, type Examples } from "./examples.ts";
import { answerLogProbabilities, uploadPairs, type PairTensors } from "./pair-batch.ts";
import { lengthOf, scheduleOf, shareOfWork } from "./plan.ts";
import { openReference, type ReferenceModel } from "./reference.ts";
import { referenceTables, type ReferenceTables } from "./reference-table.ts";
import { loadTunedModel, saveForCheckpoint, withModel, type TunedModel, type TunedParameters, type TuningPartsOptions } from "./tuned-model.ts";

/** What preference tuning works with. */
export interface DpoParts extends RunParts<PairTensors> {
  readonly model: TunedModel;
  readonly trainer: Trainer<TunedParameters, PairTensors>;
  readonly order: PairSampler;
  readonly examples: Examples<TrainingPair>;
}

/** Reads the pairs and builds policy, reference, trainer and data order.
 *  @throws DataError, and the errors of the models */
export async function buildDpoParts(
  device: Device, recipe: DpoRecipe, options: TuningPartsOptions, files: ReadonlyMap<string, Uint8Array | string>,
): Promise<DpoParts> {
  const { source } = options;
  const { sequenceLength, microBatchTokens, pairsPerBatch, seed } = recipe;
  const { needs } = preferenceObjective(recipe.losses);
  const examples = await readPairs(options);
  const order = await withModel(createPairSampler({
    examples: examples.train, pairsPerStep: pairsPerBatch, tokensPerMicroBatch: microBatchTokens,
    length: lengthOf(recipe), seed,
  }), recipe.model);
  const learningRate = scheduleOf(recipe, order.steps);
  const packing = { mismatched: needs.klEstimate, maxLength: sequenceLength };
  const [train, validation] = [{ ...packing, examples: examples.train }, { ...packing, examples: examples.validation }];
  const held = pairMicroBatches(validation.examples, validation.examples.map((_, i) => i), microBatchTokens);
  const model = await loadTunedModel(device, recipe, source.config, options.memory);
  let reference: ReferenceModel | null = null;
  const trainer = dpoTrainer(recipe, model, (batch) => batch.reference ?? reference?.logProbabilities(batch) ?? null);
  if (needs.reference) {
    const start = model.frozen ?? model.weights(trainer.compute, null);
    reference = await openReference(device, recipe, source, { decoder: model.decoder, weights: start });
  }
  let tables: ReferenceTables | null = null;
  if (reference !== null && recipe.reference.precompute) {
    const parts = {
      train: { packing: train, microBatches: order.all }, validation: { packing: validation, microBatches: held },
    };
    const key = JSON.stringify([order.stateAt(0), recipe.reference, recipe.dtype]);
    tables = await referenceTables(parts, { ...options, device, reference, key });
    reference[Symbol.dispose]();
    reference = null;
  }
  const upload = (part: "train" | "validation", indices: readonly number[], randomSeed: number | null): PairTensors => (
    uploadPairs(device, part === "train" ? train : validation, indices, {
      reference: tables === null ? null : tables[part].of(indices), randomSeed,
    })
  );
  const passes = shareOfWork(recipe) + (reference === null ? 0 : 1 / 3);
  return {
    model, trainer, order, examples, learningRate, releaseBatches,
    batchesAt: (step) => {
      const microBatches = order.microBatches(step);
      return uploadEach(microBatches.length, (i) => (
        upload("train", microBatches[i]!, keyOf("passes", seed, step, i)[0]!)
      ));
    },
    tokensIn: (batch) => batch.tokens,
    stageAt: (step) => ({ sequenceLength, microBatches: order.microBatches(step).length }),
    flopsPerToken: () => flopsPerToken(source.config, meanLength(examples.train)) * passes,
    validate: held.length === 0 ? null : () => trainer.evaluate(
      uploaded(held, (indices) => upload("validation", indices, null)),
    ),
    writeWeights: (folder) => saveForCheckpoint(folder, recipe, source, trainer.params, files),
    [Symbol.dispose]: () => {
      trainer[Symbol.dispose]();
      reference?.[Symbol.dispose]();
      model[Symbol.dispose]();
    },
  };
}

/** A trainer of a policy on pairs; the loss of a step is the mean over its pairs.
 *  @param referenceOf what the reference says of a batch; null where the losses do not ask */
export function dpoTrainer(
  recipe: Pick<DpoRecipe, "dtype" | "losses" | "optimizer" | "maxGradientNorm">, model: TunedModel,
  referenceOf: (batch: PairTensors) => Tensor | null,
): Trainer<TunedParameters, PairTensors> {
  const objective = preferenceObjective(recipe.losses);
  return new Trainer<TunedParameters, PairTensors>({
    params: model.params,
    computeDtype: recipe.dtype,
    optimizer: recipe.optimizer,
    maxGradientNorm: recipe.maxGradientNorm,
    tokens: (batch) => batch.host.pairs,
    loss: (params, batch, scale) => scope(() => {
      const policy = answerLogProbabilities(model.decoder, model.weights(params, batch.randomSeed), batch);
      const pairs = pairsOf(batch, policy, referenceOf(batch));
      const { pairs: P } = batch.host;
      const metrics = Object.entries(objective.metrics(pairs)).map(([name, mean]: [string, Tensor]) => (
        [name, mul(mean, P * scale)] as const
      ));
      return { loss: mul(sum(objective.losses(pairs)), scale), metrics: Object.fromEntries(metrics) };
    }),
  });
}

/** What the losses take, from the log-probabilities of all answers of a batch. */
function pairsOf(
  { host: { pairs: P }, segments, sequences }: PairTensors, policy: Tensor, reference: Tensor | null,
): PreferencePairs {
  const part = (all: Tensor, i: number): Tensor => slice(all, 0, i * P, (i + 1) * P);
  const lengths = sequenceLengths(segments, sequences);
  return {
    chosen: part(policy, 0), rejected: part(policy, 1),
    chosenLengths: part(lengths, 0), rejectedLengths: part(lengths, 1),
    ...(reference === null ? {} : { referenceChosen: part(reference, 0), referenceRejected: part(reference, 1) }),
    ...(reference === null || sequences === 2 * P
      ? {}
      : { klEstimate: klEstimate(part(policy, 2), part(reference, 2)) }),
  };
}

function meanLength(pairs: readonly TrainingPair[]): number {
  const tokens = pairs.reduce((total, { chosen, rejected }) => total + chosen.ids.length + rejected.ids.length, 0);
  return Math.round(tokens / (2 * pairs.length));
}
