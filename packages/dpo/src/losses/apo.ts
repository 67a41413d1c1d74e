import { add, mul, sigmoid } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference, logRatios } from "../pairs.ts";
import { compared } from "../parameters.ts";

/** Anchored preference optimisation, up and down: `1 − σ(βs_c) + σ(βs_r)`. D'Oosterlinck et al. 2024, eq. 7. */
export const apoZeroLoss: PreferenceLoss<"beta" | "referenceFree"> = defineLoss({
  name: "apo_zero",
  summary: "Anchored preference optimisation where chosen answers are better than the model's own.",
  formula: "1 − σ(βs_c) + σ(βs_r)",
  source: "D'Oosterlinck et al. 2024",
  parameters: compared,
  losses: (pairs, parameters, name) => {
    const { chosen, rejected } = logRatios(name, pairs, parameters);
    return add(sigmoid(mul(chosen, -parameters.beta)), sigmoid(mul(rejected, parameters.beta)));
  },
});

/** Anchored preference optimisation, both down: `σ(βs_c) + 1 − σ(β(s_c − s_r))`. D'Oosterlinck et al. 2024, eq. 8. */
export const apoDownLoss: PreferenceLoss<"beta" | "referenceFree"> = defineLoss({
  name: "apo_down",
  summary: "Anchored preference optimisation where chosen answers are worse than the model's own.",
  formula: "σ(βs_c) + 1 − σ(β(s_c − s_r))",
  source: "D'Oosterlinck et al. 2024",
  parameters: compared,
  losses: (pairs, parameters, name) => {
    const ratios = logRatios(name, pairs, parameters);
    return add(sigmoid(mul(ratios.chosen, parameters.beta)), sigmoid(mul(difference(ratios), -parameters.beta)));
  },
});
