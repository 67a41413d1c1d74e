import { add, mul, neg, type Tensor } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference, scores } from "../pairs.ts";
import { diverging, labelSmoothing } from "../parameters.ts";
import { logSigmoid } from "../stable.ts";

type Names = "beta" | "referenceFree" | "divergence" | "divergenceAlpha" | "labelSmoothing";

/** `−(1 − ε) log σ(x) − ε log σ(−x)`: the logistic loss where a share ε of the labels is swapped. */
export function smoothedLogistic(x: Tensor, epsilon: number): Tensor {
  return neg(add(mul(logSigmoid(x), 1 - epsilon), mul(logSigmoid(neg(x)), epsilon)));
}

/** Conservative DPO: `−(1 − ε) log σ(βΔ) − ε log σ(−βΔ)`. Mitchell 2023, "A note on DPO with noisy preferences".
 *  What `sigmoid` with label smoothing was in TRL before 0.29. */
export const cdpoLoss: PreferenceLoss<Names> = defineLoss({
  name: "cdpo",
  summary: "Conservative DPO: label smoothing, so that the margin has an optimum.",
  formula: "−(1−ε) log σ(βΔ) − ε log σ(−βΔ)",
  source: "Mitchell 2023",
  parameters: { ...diverging, labelSmoothing },
  losses: (pairs, parameters, name) =>
    smoothedLogistic(mul(difference(scores(name, pairs, parameters)), parameters.beta), parameters.labelSmoothing),
});

/** Robust DPO, unbiased where a share ε of the labels is swapped:
 *  `[−(1 − ε) log σ(βΔ) + ε log σ(−βΔ)] / (1 − 2ε)`. Chowdhury et al. 2024. */
export const robustLoss: PreferenceLoss<Names> = defineLoss({
  name: "robust",
  summary: "Robust DPO: an unbiased estimate of the loss without label noise.",
  formula: "[−(1−ε) log σ(βΔ) + ε log σ(−βΔ)] / (1 − 2ε)",
  source: "Chowdhury et al. 2024",
  parameters: { ...diverging, labelSmoothing },
  losses: (pairs, parameters, name) => {
    const x = mul(difference(scores(name, pairs, parameters)), parameters.beta);
    const epsilon = parameters.labelSmoothing;
    const scale = 1 / (1 - 2 * epsilon);
    return add(mul(logSigmoid(x), (epsilon - 1) * scale), mul(logSigmoid(neg(x)), epsilon * scale));
  },
});
