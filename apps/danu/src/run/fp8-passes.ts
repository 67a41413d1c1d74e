import { createFp8Scalings, inFp8, updateFp8Scalings, type AdaptedParameters, type DecoderConfig } from "@danu/model";
import type { Device } from "@danu/tensor";
import type { ExtraState } from "@danu/train";

import type { PassDType } from "../recipe/recipe.ts";

/** How the passes of a run see its weights. */
export interface Passes {
  /** For the trainer to keep: the scalings of fp8, where there are any. */
  readonly options: { readonly extra?: ExtraState };
  /** Weights of a pass.
   *  @param steps optimizer steps taken so far  @param training passes that only measure are not in fp8 */
  weights(params: AdaptedParameters, steps: number, training: boolean): AdaptedParameters;
}

/** Sets up the passes of a recipe. @throws ConfigError for an exception that names no layer */
export function createPasses(
  device: Device, config: DecoderConfig, { dtype, fp8Except }: { readonly dtype: PassDType; readonly fp8Except: readonly string[] },
): Passes {
  if (dtype !== "fp8") return { options: {}, weights: (params) => params };
  const scalings = createFp8Scalings(device, config, fp8Except);
  return {
    options: { extra: { tensors: scalings, afterStep: () => updateFp8Scalings(scalings) } },
    // Nothing is known of the magnitudes before the first step: its tensors are scaled one by one.
    weights: (params, steps, training) => (training ? inFp8(params, scalings, steps === 0) : params),
  };
}

/** Element type of weights and activations. */
export function computeDtype(dtype: PassDType): "f32" | "bf16" {
  return dtype === "fp8" ? "bf16" : dtype;
}
