import { Fp8Weights, inFp8, type AdaptedParameters, type DecoderConfig, type DecoderParameters, type DecoderWeights } from "@danu/model";
import type { Device } from "@danu/tensor";
import type { ExtraState } from "@danu/train";

import type { PassDType } from "../recipe/recipe.ts";

/** How the passes of a run see its weights. */
export interface Passes {
  /** For the trainer to keep: the weights in fp8 with their scalings, where there are any. */
  readonly options: { readonly extra?: ExtraState<DecoderParameters> };
  /** Weights of a pass.
   *  @param steps optimizer steps taken so far  @param training passes that only measure are not in fp8 */
  weights(params: AdaptedParameters, steps: number, training: boolean): DecoderWeights;
}

/** Sets up the passes of a recipe. @throws ConfigError for an exception that names no layer */
export function createPasses(
  device: Device, config: DecoderConfig, { dtype, fp8Except }: { readonly dtype: PassDType; readonly fp8Except: readonly string[] },
): Passes {
  if (dtype !== "fp8") return { options: {}, weights: (params) => params };
  const fp8 = new Fp8Weights(device, config, fp8Except);
  return {
    options: { extra: fp8 },
    // Nothing is known of the magnitudes before the first step: its tensors are scaled one by one.
    weights: (params, steps, training) => (training ? inFp8(params, fp8, steps === 0) : params),
  };
}

/** Element type of weights and activations. */
export function computeDtype(dtype: PassDType): "f32" | "bf16" {
  return dtype === "fp8" ? "bf16" : dtype;
}
