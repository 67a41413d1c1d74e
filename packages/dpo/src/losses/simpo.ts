import { mul, neg, sub } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference, lengthsOf, perTokenOf } from "../pairs.ts";
import { beta, margin } from "../parameters.ts";
import { logSigmoid } from "../stable.ts";

/** Simple preference optimisation: `−log σ(β(log π_c/n_c − log π_r/n_r) − γ)`. Meng et al. 2024, who use β from 2 to
 *  2.5 and γ from 0.3 to 1.6. */
export const simpoLoss: PreferenceLoss<"beta" | "margin"> = defineLoss({
  name: "simpo",
  summary: "Simple preference optimisation (SimPO): mean log-probabilities with a margin, no reference.",
  formula: "−log σ(β(log π_c/n_c − log π_r/n_r) − γ)",
  source: "Meng et al. 2024",
  needs: { lengths: true },
  perToken: true,
  parameters: { beta: { ...beta, default: 2 }, margin },
  losses: (pairs, parameters, name) => {
    const means = perTokenOf(pairs, lengthsOf(name, pairs));
    return neg(logSigmoid(sub(mul(difference(means), parameters.beta), parameters.margin)));
  },
});
