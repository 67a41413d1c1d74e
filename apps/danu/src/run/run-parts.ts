import type { Evaluation, Stage, Trainer, TrainOptions } from "@danu/train";
import type { CheckpointStore } from "@danu/train";

import type { PassDType } from "../recipe/recipe.ts";

/** Fields of a recipe that every run goes by. */
export interface RunRecipe {
  readonly command: "pretrain" | "sft" | "dpo";
  readonly dtype: PassDType;
  readonly seed: number;
  readonly learningRate: unknown;
  readonly validation: { readonly every: number };
  readonly checkpoint: { readonly every: number; readonly keep: number };
}

/** What a run works with, all of it a function of its recipe and data; pretraining, fine-tuning and preference tuning
 *  each build their own. */
export interface RunParts<B> extends Disposable {
  readonly trainer: Pick<Trainer<unknown, B>, "step"> & Parameters<CheckpointStore["save"]>[0];
  /** The order of the data, which can be left and gone on with. */
  readonly order: {
    readonly steps: number;
    stateAt(step: number): unknown;
    /** @throws DataError when the state is of other data or settings */
    stepOf(state: unknown): number;
  };
  readonly learningRate: (step: number) => number;
  /** Micro-batches of a step, on the device. */
  readonly batchesAt: TrainOptions<B>["batchesAt"];
  readonly releaseBatches: (batches: readonly B[]) => void;
  /** Tokens a micro-batch puts through the model. */
  readonly tokensIn: (batch: B) => number;
  readonly stageAt: (step: number) => Stage;
  readonly flopsPerToken: (step: number) => number;
  /** Measures the held-out data; null where there is none. */
  readonly validate: (() => Promise<Evaluation>) | null;
  /** Writes what is trained into the folder of a checkpoint. */
  readonly writeWeights: (folder: string) => Promise<void>;
}
