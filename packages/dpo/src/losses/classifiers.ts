import { add, mul, neg } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { logRatios } from "../pairs.ts";
import { compared } from "../parameters.ts";
import { logSigmoid } from "../stable.ts";

/** Noise-contrastive alignment: `−log σ(βs_c) − ½ log σ(−βs_c) − ½ log σ(−βs_r)`. Chen et al. 2024. */
export const ncaPairLoss: PreferenceLoss<"beta" | "referenceFree"> = defineLoss({
  name: "nca_pair",
  summary: "Noise-contrastive alignment (NCA): absolute likelihoods, so that that of chosen answers does not fall.",
  formula: "−log σ(βs_c) − ½ log σ(−βs_c) − ½ log σ(−βs_r)",
  source: "Chen et al. 2024",
  parameters: compared,
  losses: (pairs, parameters, name) => {
    const { chosen, rejected } = logRatios(name, pairs, parameters);
    const [c, r] = [mul(chosen, parameters.beta), mul(rejected, parameters.beta)];
    return neg(add(logSigmoid(c), mul(add(logSigmoid(neg(c)), logSigmoid(neg(r))), 0.5)));
  },
});

/** Binary classifier optimisation without reward shift: `−log σ(βs_c) − log σ(−βs_r)`. Jung et al. 2024. */
export const bcoPairLoss: PreferenceLoss<"beta" | "referenceFree"> = defineLoss({
  name: "bco_pair",
  summary: "Binary classifier optimisation (BCO): chosen and rejected as two classes.",
  formula: "−log σ(βs_c) − log σ(−βs_r)",
  source: "Jung et al. 2024",
  parameters: compared,
  losses: (pairs, parameters, name) => {
    const { chosen, rejected } = logRatios(name, pairs, parameters);
    return neg(add(logSigmoid(mul(chosen, parameters.beta)), logSigmoid(mul(rejected, -parameters.beta))));
  },
});
