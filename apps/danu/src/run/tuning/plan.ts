import type { TrainingLength } from "@danu/data";
import { schedule } from "@danu/optim";

import type { TuningRecipe } from "../../recipe/tuning.ts";

/** How long a recipe trains. */
export function lengthOf({ epochs, steps }: TuningRecipe): TrainingLength {
  return steps === null ? { epochs: epochs! } : { steps };
}

/** The learning rate of every step of a recipe. */
export function scheduleOf({ learningRate }: TuningRecipe, steps: number): (step: number) => number {
  return schedule({ warmup: Math.min(100, Math.ceil(steps / 20)), ...learningRate, steps });
}

/** Work of forward and backward pass over that of training all weights: frozen ones need no gradients, a third of it. */
export function shareOfWork({ lora }: TuningRecipe): number {
  return lora === null ? 1 : 2 / 3;
}
