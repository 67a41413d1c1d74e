import { log, minimum, mul, neg, sub, type Tensor } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference, lengthsOf, perTokenOf } from "../pairs.ts";
import { beta } from "../parameters.ts";
import { expMinusOne, logSigmoid } from "../stable.ts";
import { supervised } from "./supervised.ts";

/** Odds-ratio preference optimisation: `(supervised loss of chosen) − β log σ(log odds_c − log odds_r)` with
 *  `odds = p / (1 − p)` and `p = π^(1/n)`. Hong et al. 2024, eq. 6 and 7, their λ being β. */
export const orpoLoss: PreferenceLoss<"beta"> = defineLoss({
  name: "orpo",
  summary:
    "Odds-ratio preference optimisation (ORPO): supervised fine-tuning and preference in one stage, no reference.",
  formula: "sft − β log σ(log odds_c − log odds_r), odds = p/(1 − p), p = π^(1/n)",
  source: "Hong et al. 2024",
  needs: { lengths: true },
  perToken: true,
  parameters: { beta },
  losses: (pairs, parameters, name) => {
    const means = perTokenOf(pairs, lengthsOf(name, pairs));
    const logOddsRatio = difference({ chosen: logOdds(means.chosen), rejected: logOdds(means.rejected) });
    return sub(supervised(name, pairs), mul(logSigmoid(logOddsRatio), parameters.beta));
  },
});

/** `log p − log(1 − p)` from `log p`; of a certain answer, the odds of `1 − p = 10⁻³⁰` with gradient 0. */
function logOdds(logProbability: Tensor): Tensor {
  const x = minimum(logProbability, -1e-30);
  return sub(x, log(neg(expMinusOne(x))));
}
