import { mul, sub } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference, lengthsOf, perTokenOf, scores } from "../pairs.ts";
import { diverging } from "../parameters.ts";

/** Identity preference optimisation: `(s_c/n_c − s_r/n_r − 1/(2β))²`, the paper's τ being β.
 *  Azar et al. 2023, eq. 17, with the scores per token as its authors ran it. */
export const ipoLoss: PreferenceLoss<"beta" | "referenceFree" | "divergence" | "divergenceAlpha"> = defineLoss({
  name: "ipo",
  summary: "Identity preference optimisation: pulls the margin per token to 1/(2β) and no further.",
  formula: "(s_c/n_c − s_r/n_r − 1/(2β))²",
  source: "Azar et al. 2023",
  needs: { lengths: true },
  parameters: diverging,
  losses: (pairs, parameters, name) => {
    const means = perTokenOf(scores(name, pairs, parameters), lengthsOf(name, pairs));
    const error = sub(difference(means), 1 / (2 * parameters.beta));
    return mul(error, error);
  },
});
