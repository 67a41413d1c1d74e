import { mul, neg } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference, lengthsOf, perTokenOf, scores } from "../pairs.ts";
import { beta, diverging } from "../parameters.ts";
import { logSigmoid } from "../stable.ts";

/** Direct preference optimisation: `−log σ(βΔ)`, `Δ = s_c − s_r`. Rafailov et al. 2023.
 *  Takes no label smoothing: `cdpo` and `robust` do. */
export const sigmoidLoss: PreferenceLoss<"beta" | "referenceFree" | "divergence" | "divergenceAlpha"> = defineLoss({
  name: "sigmoid",
  summary: "Direct preference optimisation (DPO).",
  formula: "−log σ(βΔ)",
  source: "Rafailov et al. 2023",
  parameters: diverging,
  losses: (pairs, parameters, name) =>
    neg(logSigmoid(mul(difference(scores(name, pairs, parameters)), parameters.beta))),
});

/** DPO on scores divided by the tokens of their completion: `−log σ(β(s_c/n_c − s_r/n_r))`.
 *  Lambert et al. 2024 (Tülu 3), eq. 6, with their β = 5. */
export const sigmoidNormLoss: PreferenceLoss<"beta" | "referenceFree" | "divergence" | "divergenceAlpha"> = defineLoss({
  name: "sigmoid_norm",
  summary: "DPO on scores per token, so that long answers weigh no more than short ones.",
  formula: "−log σ(β(s_c/n_c − s_r/n_r))",
  source: "Lambert et al. 2024 (Tülu 3)",
  needs: { lengths: true },
  parameters: { ...diverging, beta: { ...beta, default: 5 } },
  losses: (pairs, parameters, name) => {
    const means = perTokenOf(scores(name, pairs, parameters), lengthsOf(name, pairs));
    return neg(logSigmoid(mul(difference(means), parameters.beta)));
  },
});
